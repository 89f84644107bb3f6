"""Optimizers: what else has a hand in a step, such as closures, accumulation and clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ft.api import Run
from ft.conformance.bench import assert_refuses
from ft.conformance.check import check
from ft.conformance.steps import bare_run, figures, push, shapes, take_step, unequal, values
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor


@check("optimizer", needs="step-closure")
def closure(subject: Subject) -> None:
    """``step(closure)`` evaluates the closure and returns its loss.

    Why: a trainer with a loop of its own may hand ``step`` a function that computes the loss
    again. torch's optimizers all take it.

    Passes: the closure, which clears the gradients, computes a loss and calls ``backward``, is
    called at least once with gradients enabled; ``step`` returns a loss that it gave; the
    parameters have moved.

    Fails: a ``step`` that ignores its argument, or calls it under ``torch.no_grad()``, or
    returns nothing. An optimizer that cannot do it takes ``step-closure`` out of ``provides``.

    Example: ``step(closure) does not call the closure``.
    """
    run = bare_run(subject, shapes())
    before, losses = values(run), []

    def evaluate() -> Tensor:
        run.optimizer.zero_grad()
        loss = push(run, 0)
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    try:
        returned = run.optimizer.step(evaluate)
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise AssertionError("step(closure) calls the closure without gradients enabled") from error
    assert losses, "step(closure) does not call the closure"
    assert returned is not None, "step(closure) returns nothing; it should return the loss"
    assert float(returned) in losses, (
        f"step(closure) returns {float(returned):.4g}, and the closure gave {figures(losses)}"
    )
    assert unequal(values(run), before), "step(closure) moves no parameter"


def _fitted(subject: Subject, step: Callable[[Run, list[Tensor], int], None]) -> dict[str, Tensor]:
    """How far each parameter moves in two steps of a regression on 8 rows.

    ``step`` takes one with the loss of each row; the scale of the second gradient is another.
    """
    import torch

    torch.manual_seed(0)
    run = bare_run(subject, shapes())
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(8, 16, generator=generator)
    wanted = torch.randn(8, 8, generator=generator)
    for number in range(2):
        matrix, vector = run.model.parameters()
        made = inputs @ matrix + vector
        step(run, list((made - wanted * (1 + 9 * number)).square().mean(1)), number)
    return {name: value - shapes()[name] for name, value in values(run).items()}


def _together(rows: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(rows).sum() / 8


@check(
    "optimizer",
    needs="gradient-accumulation",
    refuses=lambda subject: assert_refuses(subject, "gradient-accumulation"),
)
def gradient_accumulation(subject: Subject) -> None:
    """A batch in pieces gives the same step as the whole.

    Why: ``micro_batch_size`` is there to save memory, and must not change what is learned. An
    optimizer that acts in the backward pass would step once for each piece.

    Passes: two steps on eight rows at once, and on the same rows in two backward passes,
    change each parameter by the same, within 1 %. A plugin that does not accept
    ``gradient-accumulation`` passes where a run with it is refused.

    Fails: a gradient that is taken in a hook; one that is replaced rather than added to.

    Example: ``in two pieces a batch moves matrix otherwise than as a whole, by 58 %``.
    """

    def whole(run: Run, rows: list[Tensor], number: int) -> None:
        take_step(run, _together(rows))

    def pieces(run: Run, rows: list[Tensor], number: int) -> None:
        first, second = _together(rows[:4]), _together(rows[4:])
        for loss, last in ((first, False), (second, True)):
            if last:
                take_step(run, loss)
            elif loss.requires_grad:
                loss.backward(retain_graph=True)

    _assert_same_steps(
        _fitted(subject, pieces), _fitted(subject, whole), "in two pieces a batch moves"
    )


@check(
    "optimizer",
    needs="gradient-clipping",
    refuses=lambda subject: assert_refuses(subject, "gradient-clipping"),
)
def gradient_clipping(subject: Subject) -> None:
    """It steps on the gradient as it is after clipping.

    Why: ``max_grad_norm`` scales the gradients between the backward pass and the step. One that
    was taken before that is not clipped, and a single bad batch can spoil the weights.

    Passes: a second step whose gradient was clipped to a norm of 0.1 changes each parameter as
    one whose loss was that much smaller does, within 1 %. A plugin that does not accept
    ``gradient-clipping`` passes where a run with it is refused.

    Fails: a gradient that is copied or used in a hook of the backward pass.

    Example: ``with a clipped gradient a step moves matrix otherwise than with a small one, by
    840 %``.
    """
    import torch

    from ft.training.loop import clip

    norms: list[float] = []

    def clipped(run: Run, rows: list[Tensor], number: int) -> None:
        def before() -> None:
            if number:
                norms.append(float(clip([p for _, p in run.trainable()], 0.1)))

        take_step(run, _together(rows), before=before)

    def small(run: Run, rows: list[Tensor], number: int) -> None:
        factor = 0.1 / max(norms[0], 0.1) if number else 1.0
        take_step(run, _together(rows) * factor)

    with_clipping = _fitted(subject, clipped)
    assert norms[0] > 0, "no gradient is there to be clipped before the step"
    assert torch.isfinite(torch.tensor(norms)).all(), "the gradient's norm is no number"
    _assert_same_steps(
        with_clipping, _fitted(subject, small), "with a clipped gradient a step moves"
    )


def _assert_same_steps(found: dict[str, Tensor], wanted: dict[str, Tensor], what: str) -> None:
    for name in wanted:
        off = float((found[name] - wanted[name]).norm() / wanted[name].norm().clamp(min=1e-12))
        assert off < 0.01, f"{what} {name} otherwise than as it should, by {100 * off:.3g} %"
