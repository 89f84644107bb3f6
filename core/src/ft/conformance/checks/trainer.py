"""Trainers: they learn, resume, measure and save, whatever they learn from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ft.api import Example, FtError, Prompt, Run
from ft.conformance.bench import (
    assert_close,
    assert_resumes,
    changed,
    logits,
    save,
    some,
    train,
    weights,
)
from ft.conformance.check import Skip, check
from ft.conformance.examples import examples_of
from ft.conformance.learning import Watch, learning_run, loss_of, offline_types, types_of
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

    Fails: a batch that is left out silently; a loop of the trainer's own that does not look.

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
    the kit computes on that set with the final weights (for prompts, and for a trainer that
    ``contrasts`` rows: any finite figure).

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
        if kind is Prompt or run.part("trainer").contrasts:
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
