"""Quantizers: they save what they say, cost what they say, and an adapter trains on top."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run
from ft.conformance.bench import (
    assert_close,
    difference,
    gradients,
    logits,
    reference_family,
    save,
    some,
    tiny_run,
    train,
)
from ft.conformance.check import NotRun, check
from ft.conformance.checks.adapter import digest
from ft.conformance.subject import Subject
from ft.pipeline.run import checkpoint_activations

if TYPE_CHECKING:
    from torch import Tensor

WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1}
"""A model whose weights outweigh what is kept once for each layer, such as a table of codes."""


# -- what it saves and what it costs -----------------------------------------------------------


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
    run, plain = _pair(replace(subject, companions=wide))
    before, after = _digests(plain.model), _digests(run.model)
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
    run, plain = _pair(subject)
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
    run, plain = _pair(subject)
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
    run = _base(subject)
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
    source = _run(subject, quantizer=None).model_folder
    before = _files(source)
    run = _under_adapter(subject, steps=2)
    train(run)
    save(run)
    after = _files(source)
    odd = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not odd, f"these files of the checkpoint are new or another: {some(odd)}"


# -- training on top ---------------------------------------------------------------------------


@check("quantizer", needs="quantized-base")
def freezes_the_base(subject: Subject) -> None:
    """Nothing of the quantized base trains, and training leaves its bits as they are.

    Why: what is rounded cannot follow a gradient, and what was left in floating point, norms
    say, is not saved with an adapter.

    Passes: no parameter of the base has ``requires_grad``; after eight steps under the
    reference adapter every tensor of the base is there with the same bits.

    Fails: norms left trainable; scales that are parameters; weights rounded anew as they are
    used.

    Example: ``these parameters of the quantized base train: norm.weight``.
    """
    run = _under_adapter(subject)
    trains = [name for name, p in run.load_base().named_parameters() if p.requires_grad]
    assert not trains, f"these parameters of the quantized base train: {some(trains)}"
    parts = {id(p) for _, p in run.trainable()}
    expected = {digest(t): name for name, t in held(run.model) if id(t) not in parts}
    train(run)
    found = {digest(tensor) for _, tensor in held(run.model)}
    gone = [name for key, name in expected.items() if key not in found]
    assert not gone, f"training changed the quantized base: {some(gone)}"


@check("quantizer", needs="quantized-base")
def trains_under_an_adapter(subject: Subject) -> None:
    """An adapter on top of the quantized base trains, in all its layers.

    Why: gradients reach the first layer through every quantized one. A kernel that has no
    backward pass cuts them off: the last layer trains alone, and the loss still falls.

    Passes: under the reference adapter the loss falls over eight steps by at least one part in
    a hundred, and every part of the adapter receives a gradient that is not zero.

    Fails: a product under ``torch.no_grad()``; a result that is rounded on its way.

    Example: ``no gradient reaches layers.0.attention.q_proj.update.first.up``.
    """
    run = _under_adapter(subject)
    before, found = gradients(run, [run.data])
    # the other factor of each pair gets none while this one is zero
    ups = [name for name, _ in run.trainable() if name.endswith(".up")]
    cut = [name for name in ups if name not in found or not found[name].any()]
    assert ups, "the reference adapter finds no linear layer in the quantized model"
    assert not cut, f"no gradient reaches {some(cut)}"
    train(run)
    after, _ = gradients(run, [run.data])
    assert after < 0.99 * before, (
        f"under an adapter the loss over all rows went from {before:.4g} to {after:.4g}"
    )


@check("quantizer", needs="quantized-base")
def survives_saving(subject: Subject) -> None:
    """An adapter that was trained on top comes back on a freshly quantized base.

    Why: a result holds the adapter alone; whoever opens it quantizes the base anew, in another
    process.

    Passes: restored in a new run with another seed, the model gives the same logits, bit for
    bit.

    Fails: a quantizer that remembers what it saw while training.

    Example: ``restored on a freshly quantized base the logits differ by 0.01 (relative …)``.
    """
    run = _under_adapter(subject)
    train(run)
    trained = logits(run.model)
    kept = shutil.copytree(save(run), subject.folder / "kept")
    fresh = _under_adapter(subject, folder="fresh", seed=7)
    found = logits(fresh.hook.ft_restore_model(run=fresh, folder=kept))
    assert found.equal(trained), (
        "restored on a freshly quantized base the logits differ by "
        f"{difference(found, trained):.2g} (relative root mean square)"
    )


@check("quantizer", needs="quantized-base")
def recomputes_activations(subject: Subject) -> None:
    """Recomputing activations backward changes nothing.

    Why: large models are quantized and recomputed at once. A layer that prepares something for
    one forward pass and throws it away has nothing left for the second.

    Passes: with gradient checkpointing, loss and gradients of an adapter on top are those
    without it.

    Fails: weights unpacked once before each forward pass of the model.

    Example: ``TypeError: linear(): argument 'weight' must be Tensor, not NoneType``.
    """
    run = _under_adapter(subject)
    loss, expected = gradients(run, [run.data])
    checkpoint_activations(run.model)
    again, found = gradients(run, [run.data])
    assert_close(again, loss, "the loss with gradient checkpointing")
    for name, gradient in expected.items():
        assert name in found, f"with gradient checkpointing {name} receives no gradient"
        assert_close(found[name], gradient, f"with gradient checkpointing {name}.grad", rtol=1e-3)


@check("quantizer", needs="quantized-base")
def works_in_half_precision(subject: Subject) -> None:
    """It works where everything around it is bfloat16.

    Why: that is how models are loaded on an accelerator: the weights to be rounded, the inputs
    of each layer and what it returns are bfloat16.

    Passes: on a checkpoint loaded in bfloat16 the logits are as close to the unquantized ones
    as ``drift`` and the rounding of bfloat16 (0.05) allow, with and without autocast, and an
    adapter on top trains.

    Fails: scales that stay in float32 in a product with bfloat16.

    Example: ``RuntimeError: expected m1 and m2 to have the same dtype``.
    """
    import torch

    settings = {"model": _family(subject).bind("model", {"dtype": "bfloat16"})}
    run, plain = _pair(subject, **settings)
    allowed = run.part("quantizer").drift + 0.05
    for autocast in (False, True):
        with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=autocast):
            moved = difference(logits(run.model), logits(plain.model))
        subject.measure(f"drift {'under autocast' if autocast else 'in bfloat16'}", moved)
        assert moved <= allowed, (
            f"in bfloat16 quantizing moves the logits by {moved:.2g}, and {allowed:g} is allowed"
        )
    training = _under_adapter(subject, precision="bfloat16", folder="train", **settings)
    losses = train(training)
    assert math.isfinite(losses[-1]), f"in bfloat16 the loss is {losses[-1]}"
    assert losses[-1] < losses[0], (
        f"in bfloat16 the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"
    )


# -- what the checks share ---------------------------------------------------------------------


def _family(subject: Subject) -> Any:
    return subject.partner("model")


def _run(subject: Subject, **settings: Any) -> Run:
    """A run of the quantizer; on an accelerator where it works nowhere else."""
    import torch

    try:
        return tiny_run(subject, **settings)
    except InputError as error:
        if not torch.accelerator.is_available():
            raise NotRun(f"it does not run on a CPU, and there is nothing else: {error}") from error
    return tiny_run(subject, device="auto", **settings)


def _base(subject: Subject, folder: str = "base", **parts: Any) -> Run:
    """A run whose model is the quantized base, under an adapter that does nothing."""
    return _run(subject, folder=folder, adapter=True, **parts)


def _pair(subject: Subject, **parts: Any) -> tuple[Run, Run]:
    """A run with the quantized base as its model, and one without the quantizer."""
    pair = _base(subject, **parts), _base(subject, "plain", **parts)
    plain = pair[1]
    plain.selection.leave_out(plain.part("quantizer"))
    for run in pair:
        run.model = run.load_base()
    return pair


def _under_adapter(
    subject: Subject,
    *,
    folder: str = "run",
    seed: int = 42,
    steps: int = 8,
    precision: str = "float32",
    **parts: Any,
) -> Run:
    """A run of the reference adapter on the quantized base."""
    trainer = {"steps": steps, "precision": precision}
    return _run(subject, folder=folder, adapter=True, trainer=trainer, seed=seed, **parts)


def _digests(model: Any) -> dict[Any, Tensor]:
    """The tensors that a model holds, each once, by type, shape and content."""
    return {digest(tensor): tensor for _, tensor in held(model)}


def held(thing: Any, name: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that a module reaches, by its path.

    Beside parameters and buffers those in its attributes: quantized layers keep scales there,
    and in objects of their own. What is neither module nor container nor plain object, a
    function or a class say, is passed by.
    """
    import torch

    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type(None), type)):
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        yield name, thing
    for key, value in _parts(thing).items():
        yield from held(value, f"{name}.{key}".lstrip("."), seen)


def _parts(thing: Any) -> Mapping[Any, Any]:
    from torch import nn
    from transformers import PretrainedConfig

    if isinstance(thing, PretrainedConfig) or callable(getattr(thing, "__code__", None)):
        return {}
    if isinstance(thing, Mapping):
        return thing
    if isinstance(thing, (list, tuple, set)):
        return dict(enumerate(thing))
    attributes = dict(getattr(thing, "__dict__", {}))
    if isinstance(thing, nn.Module):
        # under their own names, as named_parameters() has them
        for table in ("_parameters", "_buffers", "_modules"):
            attributes |= attributes.pop(table, {})
        attributes = {key: value for key, value in attributes.items() if "hook" not in str(key)}
    return attributes


def _files(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
