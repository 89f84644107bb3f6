"""Trainers: they learn, resume, measure and save, whatever they learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ft.api import Encoded, Example, FtError, Prompt, Run
from ft.conformance.bench import (
    assert_close,
    assert_refuses,
    assert_resumes,
    changed,
    gradients,
    logits,
    packed,
    save,
    some,
    train,
    weights,
)
from ft.conformance.check import Skip, check
from ft.conformance.examples import examples_of
from ft.conformance.learning import (
    Watch,
    as_data,
    learning_run,
    loss_of,
    offline_types,
    rows_of,
    types_of,
)
from ft.conformance.subject import Subject
from ft.data.prepare import encode_examples

if TYPE_CHECKING:
    from torch import Tensor

HELD_OUT = "held-out"


# -- it learns -----------------------------------------------------------------------------


@check("trainer")
def loss_falls(subject: Subject) -> None:
    """The loss falls.

    Why: a loss without a graph to the weights, or one that goes up where it should go down,
    trains for hours and learns nothing.

    Passes: on eight examples of each type that the trainer takes, six steps over all of them
    with the reference optimizer end at least a tenth below the first loss. Prompts, whose
    answers the model writes itself, are left to ``trainer.raises-the-reward``.

    Fails: a detached loss; a reference that is the very model which trains, so that the margin
    is always zero.

    Example: ``on Preference examples the loss went from 0.693 to 0.693 in 6 steps``.
    """
    for kind in offline_types(subject):
        losses = train(learning_run(subject, kind, steps=6, batch_size=8))
        if not losses:
            raise Skip("it reports no loss")
        first, last = losses[0], losses[-1]
        assert last < first - 0.1 * abs(first), (
            f"on {kind.__name__} examples the loss went from {first:.3g} to {last:.3g} in "
            f"{len(losses)} steps"
        )


@check("trainer")
def resumes(subject: Subject) -> None:
    """A run that resumes from a checkpoint equals one that never stopped.

    Why: training is stopped, by people and by machines, and has to go on as if it had not been.

    Passes: for each type of example, a run of four steps and one that goes on from its
    checkpoint at step 2 report the same losses and end with the same weights, to the last bit.

    Fails: a coefficient, a buffer or a count that is not given to ``ft_plugin_state``; a
    reference that is copied when the checkpoint has been put back already (``ft_add_modules``
    comes before).

    Example: ``after resuming at step 2 the losses are [0.69, 0.69], and without a stop [0.31,
    0.12]``.
    """
    for kind in types_of(subject):

        def make(folder: str, kind: type[Example] = kind) -> Run:
            return learning_run(
                subject, kind, folder=folder, steps=4, save_every=2, keep_checkpoints=9
            )

        try:
            assert_resumes(make, 2)
        except AssertionError as error:
            raise AssertionError(f"on {kind.__name__} examples: {error}") from error


@check("trainer")
def ends_on_a_broken_loss(subject: Subject) -> None:
    """A loss that is no number ends the run.

    Why: from there on all weights are lost. The run has to say so at once, and no checkpoint
    may take the place of the last good one.

    Passes: with a weight that is not a number, training raises an error of ft's in the first
    step and writes no checkpoint.

    Fails: ``nan_to_num``; a batch that is left out silently; a loop of the trainer's own that
    does not look.

    Example: ``with a weight that is not a number the run goes on to step 2, with a loss of 0``.
    """
    import torch

    for kind in offline_types(subject):
        run = learning_run(subject, kind, steps=2, save_every=1)
        _, parameter = next(run.trainable())
        with torch.no_grad():
            parameter.fill_(math.nan)
        try:
            losses = train(run)
        except FtError:
            written = [path.name for path in (run.folder / "checkpoints").glob("step-*")]
            assert not written, f"it saves {some(written)} after the loss became no number"
            continue
        except Exception as error:
            raise AssertionError(
                f"with a weight that is not a number it fails with {type(error).__name__} "
                f"({error}) rather than with an ft error"
            ) from error
        said = f", with a loss of {losses[-1]:g}" if losses else ""
        raise AssertionError(
            f"with a weight that is not a number the run goes on to step {run.state.step}{said}"
        )


# -- it measures and saves -----------------------------------------------------------------


def _evaluated_run(subject: Subject, kind: type[Example], folder: str, watch: Any) -> Run:
    run = learning_run(
        subject, kind, folder=folder, parts={"tracker": watch}, steps=4, eval_every=2
    )
    # more than one batch of them, where answers need not be written
    held_out = examples_of(kind, 3 if kind is Prompt else 6)
    run.eval_data[HELD_OUT] = encode_examples(run, held_out)
    return run


@check("trainer")
def evaluates(subject: Subject) -> None:
    """It measures evaluation sets.

    Why: the loss on data that is not trained on is how people see overfitting, and how a sweep
    chooses.

    Passes: with an evaluation set and ``eval_every: 2``, a run of four steps tells
    ``ft_evaluated`` of ``held-out/loss`` at step 4; the figure is the mean loss per unit that
    the kit computes on that set with the final weights (for prompts: any finite figure).

    Fails: batches that are left out where ``model.training`` is false; a loop of the trainer's
    own that never calls ``run.evaluate``.

    Example: ``the last evaluation of step 4 says a loss of 0, and the set has 1.93``.
    """
    import torch

    for kind in types_of(subject):
        watch = Watch().bind("watch")
        run = _evaluated_run(subject, kind, "evaluated", watch)
        train(run)
        told = [m for m in watch.evaluations if f"{HELD_OUT}/loss" in m]
        assert told, "ft_evaluated is never told of a loss on the evaluation set"
        step, found = told[-1].get("step"), float(told[-1][f"{HELD_OUT}/loss"])
        assert step == run.state.step, (
            f"the last evaluation is of step {step:g}, and the run ended at {run.state.step}"
        )
        assert math.isfinite(found), f"the loss on the evaluation set is {found}"
        if kind is Prompt:
            continue
        run.model.eval()
        with torch.no_grad():
            loss, units = loss_of(run, run.eval_data[HELD_OUT])
        expected = float(loss.total) / units
        assert abs(found - expected) <= 1e-3 * abs(expected) + 1e-6, (
            f"the last evaluation of step {step:g} says a loss of {found:.4g}, and the set has "
            f"{expected:.4g}"
        )


@check("trainer")
def evaluation_leaves_no_trace(subject: Subject) -> None:
    """Evaluation leaves no trace.

    Why: how often somebody looks must not change what is learned, or a run with evaluation
    cannot be compared with one without.

    Passes: four steps with an evaluation every second step end with the same weights, to the
    last bit, and with torch's random generator in the same state, as four steps without.

    Fails: statistics that are updated from evaluation batches; random numbers that are drawn
    in ``ft_evaluated`` and not put back.

    Example: ``with evaluation other weights come out: lm_head.weight and 20 more``.
    """
    import torch

    for kind in types_of(subject):
        looked = _evaluated_run(subject, kind, "looked", Watch().bind("watch"))
        train(looked)
        drawn = torch.get_rng_state()
        plain_run = _evaluated_run(subject, kind, "plain", Watch().bind("watch"))
        plain_run.eval_data.clear()
        train(plain_run)
        odd = changed(looked, weights(plain_run))
        assert not odd, f"with evaluation other weights come out: {some(odd)}"
        assert torch.get_rng_state().equal(drawn), "evaluation draws random numbers"


@check("trainer")
def keeps_training_mode(subject: Subject) -> None:
    """The model trains in training mode.

    Why: dropout and the like are off in evaluation mode. A trainer that measures something
    with the model, a reference say, has to put the mode back.

    Passes: ``model.training`` is true after each of four steps, with an evaluation between
    them.

    Fails: ``model.eval()`` without the way back.

    Example: ``after step 1 the model is in evaluation mode``.
    """
    for kind in types_of(subject):
        watch = Watch().bind("watch")
        train(_evaluated_run(subject, kind, "watched", watch))
        assert watch.modes, "ft_step_ended is never told of a step"
        assert all(watch.modes), (
            f"after step {watch.modes.index(False) + 1} the model is in evaluation mode"
        )


@check("trainer")
def saves(subject: Subject) -> None:
    """The result comes back as it was trained.

    Why: what is saved is all that remains of a run.

    Passes: after two steps the saved model, loaded again, has the same logits, and each module
    beside it lies in a file of its name with the tensors that were trained.

    Fails: a ``ft_save_model`` that takes over and leaves something out; a head that trains and
    is gone when the result is written.

    Example: ``module value_head trained and is not saved``.
    """
    from safetensors.torch import load_file

    kind = types_of(subject)[0]
    run = learning_run(subject, kind, steps=2)
    train(run)
    modules = {name: _state(module) for name, module in run.modules.items()}
    expected = logits(run.model)
    folder = save(run)
    for name, tensors in modules.items():
        file = folder / f"{name}.safetensors"
        assert file.is_file(), f"module {name} trained and is not saved"
        found = load_file(file)
        for key, tensor in tensors.items():
            assert key in found, f"module {name} is saved without {key}"
            assert_close(found[key], tensor, f"module {name} comes back with another {key}")
    try:
        restored = run.load_result()
    except Exception as error:
        raise AssertionError(
            f"the saved result cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    assert_close(logits(restored), expected, "the saved result has other logits", atol=1e-4)


def _state(module: Any) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


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

    Fails: ``weights.numel()``; a constant.

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
    these rows twice.

    Fails: a sum; a loss that the trainer reports itself and does not divide.

    Example: ``a batch of 4 rows has the loss 2.31, and the same rows twice 4.62``.
    """
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
    from ft.training.loop import without_weight

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
    from ft.pipeline.run import checkpoint_activations

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
