"""Optimizers: they minimize, and remember.

Most checks step on a handful of bare parameters, which takes milliseconds and whose right
answer is known; two train the reference model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Run, RunError
from ft.conformance.bench import LEARNING_RATE, assert_resumes, some, tiny_run, train
from ft.conformance.check import check
from ft.conformance.steps import (
    RATES,
    bare_run,
    bound,
    bytes_of,
    loop_options,
    push,
    rates,
    shapes,
    take_step,
    tensors_in,
    unequal,
    values,
)
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor


# -- it minimizes --------------------------------------------------------------------------


def _quadratic(subject: Subject, rate: float, steps: int, dtype: Any) -> float:
    """The share of the loss that is left on a quadratic whose curvatures are 1 to 100 apart."""
    import torch

    tensors = {name: tensor.to(dtype) for name, tensor in shapes().items()}
    run = bare_run(subject, tensors, steps=steps, learning_rate=rate, schedule="linear")
    curved = torch.logspace(-2, 0, 128).reshape(16, 8)

    def loss() -> Tensor:
        matrix, vector = (parameter.float() for parameter in run.model.parameters())
        return ((curved * matrix**2).sum() + (curved[0] * vector**2).sum()) / 2

    first = loss().item()
    for _ in range(steps):
        take_step(run, loss())
    for name, parameter in run.model.named_parameters():
        assert parameter.dtype == dtype, f"{name} was {dtype} and is {parameter.dtype} now"
    left = loss().item() / first
    return left if left == left else float("inf")


def _best(subject: Subject, steps: int, dtype: Any, enough: float) -> tuple[float, float]:
    """What is left at the first learning rate that suffices, or at the best, and that rate."""
    found: dict[float, float] = {}
    for rate in rates(subject):
        found[rate] = _quadratic(subject, rate, steps, dtype)
        if found[rate] < enough:
            break
    best = min(found, key=found.__getitem__)
    return found[best], best


@check("optimizer")
def reaches_the_minimum(subject: Subject) -> None:
    """It reaches the minimum of a quadratic.

    Why: an error in the update, such as a sign, a missing bias correction or a moment that
    is mixed up with another, often still lowers the loss of a network for a while. On a
    quadratic the right answer is known.

    Passes: on a matrix and a vector with curvatures from 0.01 to 1, 200 steps with a linearly
    falling learning rate leave less than 1 % of the loss. The plugin's own learning rate and
    0.001, 0.01, 0.1 and 1 are tried; one has to do.

    Fails: ascent; steps that do not shrink with the learning rate; a direction that is right
    for some parameters only.

    Example: ``200 steps on a quadratic leave 73 % of the loss at the best learning rate, 0.1``.
    """
    import torch

    left, rate = _best(subject, 200, torch.float32, 0.01)
    subject.measure("share of the loss left", left)
    assert left < 0.01, (
        f"200 steps on a quadratic leave {left:.3g} of the loss at the best learning rate, {rate:g}"
    )


@check("optimizer")
def trains_bfloat16(subject: Subject) -> None:
    """It trains parameters in bfloat16.

    Why: a base that trains in bfloat16 is what fits on many an accelerator. Its gradients have
    8 bits, and an epsilon of 1e-8 or a small difference is lost in them.

    Passes: on a quadratic in bfloat16, 60 steps at one of the learning rates leave less than
    half of the loss, and the parameters are still in bfloat16.

    Fails: types that do not go together; state in bfloat16 whose updates vanish.

    Example: ``60 steps in bfloat16 leave 0.98 of the loss at the best learning rate, 0.001``.
    """
    import torch

    left, rate = _best(subject, 60, torch.bfloat16, 0.5)
    assert left < 0.5, (
        f"60 steps in bfloat16 leave {left:.3g} of the loss at the best learning rate, {rate:g}"
    )


@check("optimizer")
def trains_a_model(subject: Subject) -> None:
    """It trains a model.

    Why: what holds for one matrix need not for a whole model, with its embedding, its norms
    and a step that the loop takes.

    Passes: eight steps of the reference trainer on the reference model end at least a tenth
    below the first loss, at the plugin's own learning rate or at one of 0.01, 0.001, 0.1, 1.

    Fails: an optimizer that fails on a parameter of some shape, that diverges in a few steps
    at every learning rate, or that hardly moves.

    Example: ``8 steps took the loss from 6.25 to 6.24 at best (learning rate 0.001)``.
    """
    found: dict[float, tuple[float, float]] = {}
    named = [subject.bind().options.learning_rate] if "learning_rate" in subject.sample else []
    for rate in dict.fromkeys((*named, LEARNING_RATE, *RATES)):
        optimizer = subject.bind(learning_rate=rate)
        run = tiny_run(subject, trainer=loop_options(subject), optimizer=optimizer)
        try:
            losses = train(run)
        except RunError:  # it is no number any more: this learning rate is too high
            continue
        found[rate] = losses[0], losses[-1]
        if losses[-1] < 0.9 * losses[0]:
            return
    assert found, "the loss is no number any more after a few steps, at every learning rate"
    rate = min(found, key=lambda r: found[r][1] / found[r][0])
    first, last = found[rate]
    raise AssertionError(
        f"8 steps took the loss from {first:.3g} to {last:.3g} at best (learning rate {rate:g})"
    )


# -- it remembers --------------------------------------------------------------------------


@check("optimizer")
def state_comes_back(subject: Subject) -> None:
    """Its state, saved and loaded, continues identically.

    Why: a checkpoint keeps the ``state_dict()`` and nothing else of an optimizer. What is not
    in there, such as a step count in an attribute, begins anew with every resume, and nobody
    sees it but in a bump of the loss.

    Passes: after three steps the state goes through ``torch.save`` and
    ``torch.load(weights_only=True)`` into an optimizer that was just built; both then take
    three more steps that are the same to the last bit.

    Fails: a step count, a random generator or a basis kept outside of ``state`` and
    ``param_groups``; state of a class of its own, which does not load as plain data.

    Example: ``3 steps after its state was restored, matrix differs from an optimizer that went
    on``.
    """
    import torch

    run = bare_run(subject, shapes())
    for number in range(3):
        take_step(run, push(run, number))
    file = subject.folder / "optimizer.pt"
    torch.save(run.optimizer.state_dict(), file)
    try:
        state = torch.load(file, weights_only=True)
    except Exception as error:
        raise AssertionError(
            f"its state_dict() does not load as plain data: {str(error).splitlines()[0]}"
        ) from error
    again = bare_run(subject, values(run))
    again.optimizer.load_state_dict(state)
    for one in (run, again):
        torch.manual_seed(0)
        for number in range(3, 6):
            take_step(one, push(one, number))
    odd = unequal(values(again), values(run))
    assert not odd, (
        f"3 steps after its state was restored, {some(odd)} differs from an optimizer that went on"
    )


@check("optimizer")
def resumes(subject: Subject) -> None:
    """A run that resumes from a checkpoint equals one that never stopped.

    Why: training is stopped, by people and by machines. The state of the optimizer and of its
    schedule have to come out of a checkpoint as they went in.

    Passes: a run of four steps, and one that goes on from its checkpoint at step 2, report the
    same losses and end with the same weights, to the last bit.

    Fails: state that is lost; a schedule of the plugin's own whose ``state_dict`` lacks its
    place; random numbers of a generator of its own.

    Example: ``after resuming at step 2 the losses are [6.2, 6.1], and without a stop [6.2, 6.0]``.
    """

    def make(folder: str) -> Run:
        options = loop_options(subject, steps=4, save_every=2, keep_checkpoints=9)
        optimizer = bound(subject, learning_rate=LEARNING_RATE, schedule="linear", warmup=1)
        return tiny_run(subject, folder=folder, trainer=options, optimizer=optimizer)

    assert_resumes(make, 2)


@check("optimizer")
def memory(subject: Subject) -> None:
    """Its memory is what it says.

    Why: people choose an optimizer for its memory, and ft reckons with the figure.

    Passes: after two steps on a float32 matrix of 1024 by 1024, the tensors that it keeps take
    what ``bytes_per_parameter()`` says, within 5 % and 0.05 byte. Tensors in ``state``,
    ``param_groups`` and the optimizer's attributes count; parameters and gradients do not.

    Fails: a copy of the weights or of the gradient that nobody counted; state in float32 where
    the claim is about 8 bits; a ``bytes_per_parameter`` that is not there.

    Example: ``it keeps 12 bytes for each parameter and says 8``.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    run = bare_run(subject, {"matrix": torch.randn(1024, 1024, generator=generator)})
    try:
        said = run.part("optimizer").bytes_per_parameter()
    except NotImplementedError:
        raise AssertionError("it does not say its memory: bytes_per_parameter() is missing") from (
            None
        )
    for number in range(2):
        take_step(run, push(run, number))
    kept = tensors_in([run.optimizer.state, run.optimizer.param_groups, vars(run.optimizer)])
    (matrix,) = run.model.parameters()
    own = [matrix, *([] if matrix.grad is None else [matrix.grad])]
    found = bytes_of(kept, but=own) / matrix.numel()
    subject.measure("bytes per parameter", found)
    assert abs(found - said) <= 0.05 * said + 0.05, (
        f"it keeps {found:.3g} bytes for each parameter and says {said:.3g}"
    )
