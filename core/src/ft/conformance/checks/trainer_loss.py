"""Trainers: their loss is the same however the rows of a step are laid out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ft.api import Encoded, Run
from ft.conformance.bench import (
    assert_close,
    assert_refuses,
    changed,
    gradients,
    packed,
    some,
    train,
    weights,
)
from ft.conformance.check import Skip, check
from ft.conformance.learning import as_data, learning_run, loss_of, offline_types, rows_of, types_of
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

HELD_OUT = "held-out"


# -- its loss ------------------------------------------------------------------------------


def _pieces(run: Run) -> tuple[list[Any], list[list[Any]]]:
    """Four rows, and the same in micro batches of two, one and one."""
    rows = rows_of(run)[:4]
    return rows, [rows[:2], rows[2:3], rows[3:]]


def _assert_same(
    one: tuple[float, Mapping[str, Tensor]], other: tuple[float, Mapping[str, Tensor]], what: str
) -> None:
    """Raise where two pairs of loss and gradients differ."""
    assert_close(one[0], other[0], f"{what} the loss is another", rtol=1e-3)
    assert one[1].keys() == other[1].keys(), f"{what} other parameters have a gradient"
    for name, gradient in other[1].items():
        assert_close(one[1][name], gradient, f"{what} {name} has another gradient", rtol=1e-2)


@check("trainer")
def accumulates(subject: Subject) -> None:
    """A batch in pieces has the loss and the gradients of the whole.

    Why: ``micro_batch_size`` is there to save memory, and the number of processes to save time;
    neither may change what is learned.

    Passes: four rows in one micro batch, and in three of two, one and one, have the same loss
    and the same gradients, when sums of losses are divided by sums of units as the loop does.

    Fails: a loss that is a mean rather than a sum over units; padding that is counted.

    Example: ``in pieces the loss is another: Expected 2.31 but got 0.77``.
    """
    for kind in offline_types(subject):
        run = learning_run(subject, kind)
        rows, pieces = _pieces(run)
        _assert_same(gradients(run, pieces), gradients(run, [rows]), "in pieces")


@check("trainer")
def counts_units(subject: Subject) -> None:
    """Units add up over micro batches.

    Why: the loop divides the summed loss of a step by the sum of its units, over micro batches
    and processes. Units that depend on the company that a row is in, such as padded tokens,
    make the learning rate depend on it too.

    Passes: the units of four rows are more than zero and the sum of those of its pieces.

    Fails: ``weights.numel()``; a constant for every batch, whatever is in it.

    Example: ``4 rows have 96 units, and their pieces 40 + 17 + 24``.
    """
    for kind in offline_types(subject):
        run = learning_run(subject, kind)
        rows, pieces = _pieces(run)
        whole = _units(run, rows)
        parts = [_units(run, piece) for piece in pieces]
        assert whole > 0, f"{len(rows)} rows have {whole:g} units"
        assert math.isclose(whole, sum(parts), rel_tol=1e-5), (
            f"{len(rows)} rows have {whole:g} units, and their pieces "
            + " + ".join(f"{part:g}" for part in parts)
        )


def _units(run: Run, rows: Sequence[Any]) -> float:
    return float(run.hook.ft_count_units(run=run, batch=run.collate(list(rows))))


@check("trainer")
def reports_a_mean(subject: Subject) -> None:
    """The reported loss is the mean per unit.

    Why: people compare runs with different batch sizes by their losses.

    Passes: the first step on four rows reports the same loss as the first step on each of
    these rows twice. A trainer that ``contrasts`` rows is left out.

    Fails: a sum; a loss that the trainer reports itself and does not divide.

    Example: ``a batch of 4 rows has the loss 2.31, and the same rows twice 4.62``.
    """
    if subject.plugin.contrasts:  # type: ignore[attr-defined]
        raise Skip("it contrasts rows, so that their number matters")
    for kind in offline_types(subject):
        found = []
        for times in (1, 2):
            run = learning_run(
                subject,
                kind,
                folder=f"times-{times}",
                steps=1,
                batch_size=4 * times,
                packing=False,
                shuffle=False,
            )
            run.data = as_data(run, rows_of(run)[:4] * times)
            losses = train(run)
            if not losses:
                raise Skip("it reports no loss")
            found.append(losses[0])
        assert math.isclose(*found, rel_tol=1e-3, abs_tol=1e-6), (
            f"a batch of 4 rows has the loss {found[0]:.4g}, and the same rows twice {found[1]:.4g}"
        )


@check("trainer")
def returns_a_loss(subject: Subject) -> None:
    """The loss is a float32 number with a graph; metrics have none.

    Why: in bfloat16 a sum over many tokens has two digits, and dividing it comes too late. A
    metric with a graph keeps the activations of every micro batch alive.

    Passes: under bfloat16 autocast, ``ft_compute_loss`` returns a ``Loss`` whose ``total`` is
    a finite float32 scalar with a graph, and whose metrics are numbers or tensors without one.

    Fails: ``total`` in the logits' type; ``{"margin": margin.sum()}`` without ``detach()``.

    Example: ``metric margin has a graph, which keeps the activations in memory``.
    """
    import torch

    for kind in offline_types(subject):
        run = learning_run(subject, kind)
        run.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = loss_of(run, rows_of(run)[:2])
        total = loss.total
        assert isinstance(total, torch.Tensor), f"the loss is a {type(total).__name__}, no tensor"
        assert total.ndim == 0, f"the loss has the shape {tuple(total.shape)}, and is no scalar"
        assert total.dtype == torch.float32, f"under bfloat16 the loss is in {total.dtype}"
        assert total.requires_grad, "the loss has no graph"
        assert bool(torch.isfinite(total)), f"under bfloat16 the loss is {float(total)}"
        for name, value in loss.metrics.items():
            assert not getattr(value, "requires_grad", False), (
                f"metric {name} has a graph, which keeps the activations in memory"
            )


@check(
    "trainer",
    needs="data-parallel",
    refuses=lambda subject: assert_refuses(subject, "data-parallel"),
)
def share_without_rows(subject: Subject) -> None:
    """A process without rows of its own teaches nothing.

    Why: the last batch of an epoch may have fewer rows than there are processes. Those left
    over get a row with every weight 0, so that all meet in the backward pass.

    Passes: such a batch has 0 units and a loss of 0, which goes backward and gives no gradient
    other than 0. A trainer that does not accept ``data-parallel`` passes where a run with it
    is refused.

    Fails: units that are rows; a mean over no token, which is no number.

    Example: ``a batch without weights has 2 units``.
    """
    from ft.training.batches import without_weight

    for kind in offline_types(subject):
        run = learning_run(subject, kind)
        run.model.train()
        batch = run.to_device(without_weight(run.collate(rows_of(run)[:2])))
        units = float(run.hook.ft_count_units(run=run, batch=batch))
        assert units == 0, f"a batch without weights has {units:g} units"
        total = run.hook.ft_compute_loss(run=run, model=run.model, batch=batch).total
        assert float(total.detach()) == 0, f"a batch without weights has a loss of {float(total):g}"
        total.backward()
        odd = {
            n for n, p in run.trainable() if p.grad is not None and not bool((p.grad == 0).all())
        }
        assert not odd, f"a batch without weights gives {some(odd)} a gradient"


# -- capabilities --------------------------------------------------------------------------


@check("trainer", needs="packing", refuses=lambda subject: assert_refuses(subject, "packing"))
def packing(subject: Subject) -> None:
    """Packed rows have the loss of the same rows side by side.

    Why: packing saves padding, which is often half of all tokens. A document must neither see
    its neighbours in the pack nor be taken for one with them.

    Passes: eight rows in packs have the same loss and the same gradients as in a padded batch.
    A trainer that does not accept ``packing`` passes where a run with it is refused.

    Fails: a collation that drops position ids; sums or units by row, where
    ``TokenLosses.documents`` tells documents apart.

    Example: ``packed the loss is another: Expected 2.31 but got 2.42``.
    """
    for kind in offline_types(subject):
        run = learning_run(subject, kind)
        rows = rows_of(run)
        assert all(isinstance(row, Encoded) for row in rows), (
            "it accepts packing, and ft_encode gives mappings, which cannot be packed"
        )
        longest = max(map(len, rows))
        found = gradients(run, [packed(rows, 3 * longest)])
        _assert_same(found, gradients(run, [rows]), "packed")


@check(
    "trainer",
    needs="gradient-checkpointing",
    refuses=lambda subject: assert_refuses(subject, "gradient-checkpointing"),
)
def gradient_checkpointing(subject: Subject) -> None:
    """Recomputed activations change nothing.

    Why: they are computed again in the backward pass, when the loss has been left: under
    whichever adapter is active and whatever hooks are there by then.

    Passes: loss and gradients of four rows are the same with and without
    ``gradient_checkpointing``. A trainer that does not accept it passes where a run with it is
    refused.

    Fails: adapters that are switched, or hooks that are set, around a forward pass with a
    gradient.

    Example: ``with recomputed activations layers.0.up_proj.weight has another gradient: …``.
    """
    from ft.training.recompute import checkpoint_activations

    for kind in offline_types(subject):
        run = learning_run(subject, kind)
        rows, _ = _pieces(run)
        expected = gradients(run, [rows])
        checkpoint_activations(run.model)
        try:
            found = gradients(run, [rows])
        except Exception as error:
            raise AssertionError(
                f"with recomputed activations it fails with {type(error).__name__}: "
                f"{str(error).splitlines()[0]}"
            ) from error
        _assert_same(found, expected, "with recomputed activations")


@check(
    "trainer",
    needs="quantized-base",
    refuses=lambda subject: assert_refuses(subject, "quantized-base"),
)
def quantized_base(subject: Subject) -> None:
    """It trains an adapter on a quantized base, and nothing of the base.

    Why: a low-rank update on a base in 4 or 8 bits is how large models train on small machines.

    Passes: with the reference quantizer and adapter, four steps change parameters of the
    adapter, and no weight of the base. A trainer that does not accept ``quantized-base``
    passes where a run with it is refused.

    Fails: arithmetic on the base's weights as if they were floats; ``requires_grad_(True)`` for
    the whole model.

    Example: ``on a quantized base embed_tokens.weight changes, which the adapter froze``.
    """
    from ft.conformance.reference import REFERENCES

    for kind in types_of(subject):
        quantizer = REFERENCES["quantizer"].bind("reference")
        run = learning_run(subject, kind, adapter=True, parts={"quantizer": quantizer}, steps=4)
        base = {name for name, _ in run.load_base().named_parameters()}
        buffers = {name: buffer.clone() for name, buffer in run.model.named_buffers()}
        before = weights(run)
        train(run)
        moved = changed(run, before)
        assert moved, f"on {kind.__name__} examples nothing changes on a quantized base"
        froze = "which the adapter froze"
        assert not moved & base, f"on a quantized base {some(moved & base)} changes, {froze}"
        odd = {n for n, b in run.model.named_buffers() if n in buffers and not b.equal(buffers[n])}
        assert not odd, f"on a quantized base {some(odd)} changes, {froze}"
