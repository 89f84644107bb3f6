"""Adapters: they train what they say and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.conformance.adapters import (
    SHORT,
    START,
    assert_same,
    base_in,
    gone_from,
    quantized_run,
    train_and_fall,
)
from ft.conformance.bench import (
    assert_close,
    assert_refuses,
    changed,
    difference,
    gradients,
    logits,
    packed,
    random_rows,
    save,
    some,
    tiny_run,
    train,
    weights,
)
from ft.conformance.check import check
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    pass


@check("adapter")
def loss_falls(subject: Subject) -> None:
    """The loss falls.

    Why: an update that is not added to anything, that is scaled to nothing, or whose factors
    both start at zero trains without an error and learns nothing.

    Passes: eight optimizer steps end with a loss over all eight rows at least one part in 200
    below that before the first.

    Fails: an update behind ``torch.no_grad()``; alpha divided by the rank twice.

    Example: ``the loss over all rows went from 6.31 to 6.31 in 8 steps``.
    """
    train_and_fall(tiny_run(subject))


@check("adapter")
def trains_what_it_declares(subject: Subject) -> None:
    """Exactly the declared parameters train.

    Why: what has ``requires_grad`` after ``ft_adapt_model`` is what the optimizer gets, what a
    checkpoint keeps and what the user is told. A parameter that changes beside it is lost at
    the next resume; one that is declared and cannot change costs memory for nothing.

    Passes: each declared parameter receives a gradient and is another after three steps; no
    other parameter of the model is, except for one that ``ft_checkpoint_state`` keeps.

    Fails: a gate that the forward pass does not use; a running mean kept in a parameter.

    Example: ``these are declared and never change: layers.0.q_proj.gate``.
    """
    run = tiny_run(subject, trainer=SHORT)
    _, found = gradients(run, [run.data])
    without = run.trained_names - found.keys()
    assert not without, f"these are declared and receive no gradient: {some(without)}"
    before = weights(run)
    train(run)
    differing = changed(run, before)
    still = run.trained_names - differing
    assert not still, f"these are declared and never change: {some(still)}"
    kept = run.hook.ft_checkpoint_state(run=run, model=run.model).keys()
    beside = differing - run.trained_names - kept
    assert not beside, f"these change and are not declared: {some(beside)}"


@check("adapter", needs="frozen-base")
def base_stays(subject: Subject) -> None:
    """Training leaves the base weights as they are, bit for bit.

    Why: the result is saved without the base. If that moved, the saved part belongs to a model
    that is nowhere; a base that a second role shares changes under it.

    Passes: every weight of the base that is in the adapted model is there after three steps,
    with the same bits, under whatever name.

    Fails: norms that were not frozen; a base weight that the update is written into.

    Example: ``training changed weights of the base: norm.weight``.
    """
    run = tiny_run(subject, trainer=SHORT)
    there = base_in(run, run.load_base())
    train(run)
    gone = gone_from(run, there)
    assert not gone, f"training changed weights of the base: {some(gone)}"


@check("adapter", needs="starts-at-base")
def starts_at_base(subject: Subject) -> None:
    """Before the first step the adapted model computes what the base does.

    Why: a user who fine-tunes expects to start from the model that was chosen; a trainer that
    compares with the start takes the base for it.

    Passes: the logits of the freshly adapted model differ from the base's by at most one part
    in 100,000 (relative root mean square).

    Fails: an update whose factors are both random.

    Example: ``the adapted model starts 0.31 away from the base``.
    """
    run = tiny_run(subject)
    away = difference(logits(run.model), logits(run.load_base()))
    assert away <= START, f"the adapted model starts {away:.2g} away from the base"


@check("adapter", needs="frozen-base")
def trains_in_float32(subject: Subject) -> None:
    """On a base in bfloat16, what trains is float32.

    Why: on an accelerator a frozen base is loaded in bfloat16, which has 8 bits: an update of
    a usual learning rate is rounded away, and the loss stands still without an error.

    Passes: the declared parameters are float32, the base stays in bfloat16, and eight steps in
    bfloat16 precision end with a lower loss.

    Fails: an update made like the weight that it stands beside; a base that is converted.

    Example: ``these train in another type than float32: layers.0.q_proj.down (bfloat16)``.
    """
    import torch

    family = subject.partner("model").bind("model", {"dtype": "bfloat16"})
    # all rows in each step, so that losses can be compared
    run = tiny_run(subject, model=family, trainer={"precision": "bfloat16", "batch_size": 8})
    narrow = [
        f"{name} ({str(p.dtype).removeprefix('torch.')})"
        for name, p in run.trainable()
        if p.dtype != torch.float32
    ]
    assert not narrow, f"these train in another type than float32: {some(narrow)}"
    assert base_in(run, run.load_base()), "nothing of the base is there in bfloat16 any more"
    losses = train(run)
    assert losses[-1] < 0.995 * losses[0], (
        f"on a base in bfloat16 the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"
    )


def _no_packing(subject: Subject) -> None:
    assert_refuses(subject, "packing")


@check("adapter", needs="packing", refuses=_no_packing)
def packs(subject: Subject) -> None:
    """Documents packed into one sequence have the loss that they have alone.

    Why: packing is to save time and to change nothing. An adapter that looks at where a token
    stands in the sequence, or that puts something in front of it, sees another place.

    Passes: after some training, loss and gradients of packed rows equal those of the same rows
    in a padded batch. An adapter that does not accept packing: ``ft check`` refuses the recipe.

    Fails: a learned vector for each position, counted from the start of the sequence.

    Example: ``the loss of packed rows: expected 5.91 and got 6.02``.
    """
    rows = random_rows(4)
    run = tiny_run(subject, rows=rows, trainer=SHORT)
    train(run)
    alone, expected = gradients(run, [rows])
    together, found = gradients(run, [packed(rows)])
    assert_close(together, alone, "the loss of packed rows")
    for name, gradient in expected.items():
        assert_close(found[name], gradient, f"packed rows: {name}.grad", rtol=1e-3, atol=1e-4)


def _no_quantized_base(subject: Subject) -> None:
    assert_refuses(subject, "quantized-base")


@check("adapter", needs="quantized-base", refuses=_no_quantized_base)
def trains_on_a_quantized_base(subject: Subject) -> None:
    """It trains on a quantized base, and leaves that as it is.

    Why: the weights are integers then, with scales beside them, in layers of another class:
    what reads ``weight.dtype`` or multiplies the weight itself comes out wrong or not at all.

    Passes: with the reference quantizer the loss falls from where it should start, no bit of the
    quantized weights and scales changes, and the saved result on a freshly quantized base gives
    the same logits. An adapter that does not accept ``quantized-base``: ``ft check`` refuses the
    recipe.

    Fails: an update in the type of the weight; scales that train.

    Example: ``RuntimeError: Only Tensors of floating point dtype can require gradients``.
    """
    run = quantized_run(subject)
    plain = run.load_base()
    if "starts-at-base" in run.part("adapter").capabilities().provides:
        away = difference(logits(run.model), logits(plain))
        assert away <= START, f"it starts {away:.2g} away from the quantized base"
    there = base_in(run, plain)
    train_and_fall(run)
    gone = gone_from(run, there)
    assert not gone, f"training changed weights of the quantized base: {some(gone)}"
    again = quantized_run(subject, "again")
    restored = again.hook.ft_restore_model(run=again, folder=save(run))
    assert_same(restored, logits(run.model), "restored on a freshly quantized base")
