"""Evaluators: figures of the model, which stays as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ft.api import Run
from ft.conformance.around import run_of_evaluator
from ft.conformance.bench import changed, some, weights
from ft.conformance.check import check
from ft.conformance.subject import Subject


@check("evaluator")
def gives_figures(subject: Subject) -> None:
    """The results are finite numbers by name.

    Why: they become metrics of the step, which trackers write and a schedule may compare.

    Passes: ``ft_evaluate`` gives a mapping with one entry at least, from names to numbers that
    are finite.

    Fails: nan where there was nothing to count; a tensor of several values; a number without
    a name.

    Example: ``the measure accuracy is nan``.
    """
    found = measure(run_of_evaluator(subject))
    assert isinstance(found, Mapping), f"ft_evaluate gives {found!r}, no figures by name"
    assert found, "ft_evaluate gives no figure"
    for name, value in found.items():
        assert isinstance(name, str), f"a measure is called {name!r}"
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"the measure {name} is no number: {value!r}") from error
        assert math.isfinite(number), f"the measure {name} is {number}"


@check("evaluator")
def begins_afresh(subject: Subject) -> None:
    """Measuring the same model twice gives the same figures.

    Why: evaluations are compared over a run. An evaluator that goes on counting where it
    stopped shows an average over the past, and one that draws its sample anew shows noise.

    Passes: two evaluations in one run, with nothing trained in between, give equal figures.

    Fails: totals that are kept in the plugin and never set back; prompts that are drawn from
    the run's generators.

    Example: ``guessed is 0.25 at first and 0.31 the second time``.
    """
    run = run_of_evaluator(subject)
    first, second = dict(measure(run)), dict(measure(run))
    assert first.keys() == second.keys(), (
        f"the second evaluation gives other measures: {some(first.keys() ^ second.keys())}"
    )
    for name, value in first.items():
        assert math.isclose(value, second[name], rel_tol=1e-6, abs_tol=1e-9), (
            f"{name} is {value:.6g} at first and {second[name]:.6g} the second time"
        )


@check("evaluator")
def leaves_the_model(subject: Subject) -> None:
    """The model is left as it was: weights, gradients, mode, what trains.

    Why: training goes on after an evaluation, and must go on as if nobody had looked.

    Passes: after an evaluation every parameter has its value, its gradient and its
    ``requires_grad``, and every module its mode.

    Fails: a backward pass that adds to the gradients; ``requires_grad_(False)``; weights that
    are cast, or that an average of them replaces.

    Example: ``evaluating changes the gradients of lm_head.weight and 21 more``.
    """
    import torch

    run = run_of_evaluator(subject)
    model = run.model.eval()
    for _, parameter in run.trainable():
        parameter.grad = torch.ones_like(parameter)
    before, trainable = weights(run), {name for name, _ in run.trainable()}
    measure(run)
    loud = {name or "the model" for name, module in model.named_modules() if module.training}
    assert not loud, f"after evaluating {len(loud)} modules are in training mode: {some(loud)}"
    moved = changed(run, before)
    assert not moved, f"evaluating changes the weights {some(moved)}"
    odd = trainable ^ {name for name, p in run._parameters() if p.requires_grad}
    assert not odd, f"after evaluating requires_grad is another for {some(odd)}"
    lost = {n for n, p in run.trainable() if p.grad is None or not (p.grad == 1).all()}
    assert not lost, f"evaluating changes the gradients of {some(lost)}"


def measure(run: Run) -> Any:
    """What the evaluator says of the model, asked as the training loop does."""
    import torch

    with torch.no_grad():
        return run.selection.call(
            run.part("evaluator"), "ft_evaluate", run=run, model=run.model.eval()
        )
