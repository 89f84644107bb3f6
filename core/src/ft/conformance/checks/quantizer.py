"""Quantizers: they save what they say and cost what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ft.conformance.adapters import digest
from ft.conformance.bench import (
    difference,
    in_form_of,
    logits,
    reference_family,
    save,
    some,
    train,
)
from ft.conformance.check import check
from ft.conformance.quantizers import (
    WIDE,
    digests_of,
    held,
    quantized,
    quantized_and_not,
    stamps_of,
    under_adapter,
    unquantized,
)
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    pass


@check("quantizer", needs="quantized-base")
def memory_falls(subject: Subject) -> None:
    """A quantized weight takes the memory that ``bits_per_weight`` says.

    Why: whether a model fits is computed from that figure, before anything is loaded. Rounded
    weights that are kept in floating point, or scales that nobody counted, make it wrong.

    Passes: all tensors that the quantized layers hold, scales and tables included, over the
    number of weights that they replace, are within 5 % of ``bits_per_weight()`` and below 16
    bits. What the quantizer leaves as it was is not counted; its share is in the report.

    Fails: fake quantization; a scale for every 8 weights that the figure leaves out.

    Example: ``a quantized weight takes 32 bits, and bits_per_weight() says 8.1``.
    """
    wide = {**subject.companions, "model": reference_family(**WIDE)}
    run, plain = quantized_and_not(replace(subject, companions=wide))
    before, after = digests_of(plain.model), digests_of(run.model)
    replaced = {key: tensor for key, tensor in before.items() if key not in after}
    added = [tensor for key, tensor in after.items() if key not in before]
    weights = sum(tensor.numel() for tensor in replaced.values())
    assert weights, "no weight of the model is quantized"
    bits = 8 * sum(tensor.numel() * tensor.element_size() for tensor in added) / weights
    subject.measure("bits/weight", bits)
    subject.measure("share", weights / sum(tensor.numel() for tensor in before.values()))
    claimed = run.part("quantizer").bits_per_weight()
    assert abs(bits - claimed) <= 0.05 * claimed, (
        f"a quantized weight takes {bits:.3g} bits, and bits_per_weight() says {claimed:g}"
    )
    assert bits < 16, f"a quantized weight takes {bits:.3g} bits, no less than in half precision"


@check("quantizer")
def drifts_within_its_bound(subject: Subject) -> None:
    """Quantizing moves the logits by no more than ``drift``.

    Why: the figure lets a user choose between quantizers. A scale along the wrong dimension,
    or codes in the wrong order, give a model that trains and starts from ruins.

    Passes: the logits of the reference model differ from those without the quantizer by at
    most ``drift`` (relative root mean square); the report keeps the figure.

    Fails: a scale that is off by one row; 4 bits under the bound of 8.

    Example: ``quantizing moves the logits by 0.41, and drift is 0.02``.
    """
    run, plain = quantized_and_not(subject)
    moved, allowed = difference(logits(run.model), logits(plain.model)), run.part("quantizer").drift
    subject.measure("drift", moved)
    assert moved <= allowed, f"quantizing moves the logits by {moved:.2g}, and drift is {allowed:g}"


@check("quantizer")
def keeps_the_head(subject: Subject) -> None:
    """Embeddings and output layer keep their weights.

    Why: they are the most sensitive part and hold each token's own row; trainers and kernels
    read the output layer's weight directly.

    Passes: the weights of the input embeddings and of the output layer are those of the
    checkpoint, bit for bit.

    Fails: a loop over all linear layers that does not ask which one is the head.

    Example: ``the output layer is quantized: its weight is int8``.
    """
    run, plain = quantized_and_not(subject)
    for what, layer in (
        ("input embeddings are", "get_input_embeddings"),
        ("output layer is", "get_output_embeddings"),
    ):
        found: Any = getattr(run.model, layer)().weight
        own: Any = getattr(plain.model, layer)().weight
        kind = str(found.dtype).removeprefix("torch.")
        assert found.dtype == own.dtype, f"the {what} quantized: the weight is {kind}"
        assert found.equal(own), f"the {what} rounded: the weight is not that of the checkpoint"


@check("quantizer")
def quantizes_alike(subject: Subject) -> None:
    """Quantizing twice gives the same bits.

    Why: the base is quantized again whenever a run resumes or its result is opened; what was
    trained on top belongs to the first one.

    Passes: two bases loaded one after the other hold the same tensors, bit for bit.

    Fails: stochastic rounding without a generator of its own; a scale from whatever data
    comes by.

    Example: ``quantizing again gives other bits: layers.0.attention.q_proj.weight``.
    """
    run = unquantized(subject)
    first, again = run.load_base(), run.load_base()
    found, expected = dict(held(again)), dict(held(first))
    assert found.keys() == expected.keys(), (
        f"quantizing again gives other tensors: {some(found.keys() ^ expected.keys())}"
    )
    odd = [name for name, tensor in expected.items() if digest(tensor) != digest(found[name])]
    assert not odd, f"quantizing again gives other bits: {some(odd)}"


@check("quantizer")
def leaves_the_checkpoint(subject: Subject) -> None:
    """The checkpoint's folder stays as it is.

    Why: it is the user's, or a cache that other runs share, and may be read-only.

    Passes: after loading, training under an adapter and saving, the folder has the same files
    with the same content and the same times.

    Fails: quantized weights kept beside the checkpoint for the next time.

    Example: ``these files of the checkpoint are new or another: quantized.safetensors``.
    """
    source = in_form_of(subject.bind(), quantized(subject, quantizer=None))
    before = stamps_of(source)
    run = under_adapter(subject, steps=2)
    train(run)
    save(run)
    after = stamps_of(source)
    odd = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not odd, f"these files of the checkpoint are new or another: {some(odd)}"
