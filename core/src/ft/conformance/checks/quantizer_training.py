"""Quantizers: an adapter trains on top."""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING

from ft.conformance.adapters import digest
from ft.conformance.bench import (
    assert_close,
    difference,
    gradients,
    logits,
    save,
    some,
    train,
)
from ft.conformance.check import check
from ft.conformance.quantizers import (
    held,
    quantized_and_not,
    under_adapter,
)
from ft.conformance.subject import Subject
from ft.training.recompute import checkpoint_activations

if TYPE_CHECKING:
    pass


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
    run = under_adapter(subject)
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
    run = under_adapter(subject)
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
    run = under_adapter(subject)
    train(run)
    trained = logits(run.model)
    kept = shutil.copytree(save(run), subject.folder / "kept")
    fresh = under_adapter(subject, folder="fresh", seed=7)
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
    run = under_adapter(subject)
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

    half = subject.partner("model").bind("model", {"dtype": "bfloat16"})
    run, plain = quantized_and_not(subject, model=half)
    allowed = run.part("quantizer").drift + 0.05
    for autocast in (False, True):
        with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=autocast):
            moved = difference(logits(run.model), logits(plain.model))
        subject.measure(f"drift {'under autocast' if autocast else 'in bfloat16'}", moved)
        assert moved <= allowed, (
            f"in bfloat16 quantizing moves the logits by {moved:.2g}, and {allowed:g} is allowed"
        )
    training = under_adapter(subject, precision="bfloat16", folder="train", model=half)
    losses = train(training)
    assert math.isfinite(losses[-1]), f"in bfloat16 the loss is {losses[-1]}"
    assert losses[-1] < losses[0], (
        f"in bfloat16 the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"
    )
