"""Optimizers: they do what their options and their parameter groups say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic

from ft.api import InputError, Run
from ft.conformance.bench import difference, some
from ft.conformance.check import Skip, check
from ft.conformance.steps import bare_run, build, figures, push, shapes, take_step, unequal, values
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    pass


def _course(subject: Subject, schedule: str) -> tuple[list[list[float]], list[int]]:
    """The learning rate of each group at each of 20 steps and after them; sizes of the groups."""
    peak = 1e-3
    optimizer_options: dict[str, Any] = {
        "learning_rate": peak,
        "warmup": 4,
    }
    if schedule != "constant":
        optimizer_options["min_learning_rate"] = peak / 10
    subject.bind(**optimizer_options, schedule=schedule)  # refused where it has another course
    run = bare_run(subject, shapes(), steps=20, **optimizer_options, schedule=schedule)
    groups = run.optimizer.param_groups
    course = []
    for number in range(20):
        course.append([float(group["lr"]) for group in groups])
        take_step(run, push(run, number))
    course.append([float(group["lr"]) for group in groups])
    return course, [sum(p.numel() for p in group["params"]) for group in groups]


@check("optimizer")
def follows_the_schedule(subject: Subject) -> None:
    """The learning rate follows the options.

    Why: ``learning_rate``, ``schedule``, ``warmup`` and ``min_learning_rate`` mean the same for
    every optimizer, so that one can be put in the place of another.

    Passes: over 20 steps with a warm-up of 4, for each schedule that the plugin takes, the
    largest group rises to ``learning_rate`` with the fifth step; a constant schedule stays
    there, a linear or cosine one only falls and is at ``min_learning_rate`` after the last.
    All groups follow the same course, each in proportion to its own peak.

    Fails: a learning rate that is fixed in the code; a group that the schedule does not reach;
    a schedule that moves once an epoch.

    Example: ``with schedule linear the largest group peaks at 0.0001, and learning_rate is
    0.001``.
    """
    peak, tried = 1e-3, 0
    for schedule in ("constant", "linear", "cosine"):
        try:
            course, sizes = _course(subject, schedule)
        except pydantic.ValidationError:
            continue
        tried += 1
        largest = sizes.index(max(sizes))
        rates_seen = [at[largest] for at in course]
        found, said = max(rates_seen), f"with schedule {schedule} the largest group"
        assert _near(found, peak), f"{said} peaks at {found:.3g}, and learning_rate is {peak:g}"
        warming = rates_seen[:5]
        assert warming == sorted(set(warming)), (
            f"{said} does not rise over a warm-up of 4 steps: {figures(warming)}"
        )
        after = rates_seen[4:]
        if schedule == "constant":
            assert all(_near(rate, peak) for rate in after), f"{said} moves: {figures(after)}"
        else:
            assert after == sorted(after, reverse=True), f"{said} rises again: {figures(after)}"
            assert _near(after[-1], peak / 10), (
                f"{said} ends at {after[-1]:.3g}, and min_learning_rate is {peak / 10:g}"
            )
        for number in range(len(sizes)):
            top = max(at[number] for at in course)
            for step, at in enumerate(course):
                assert abs(at[number] / top - at[largest] / peak) < 1e-3, (
                    f"with schedule {schedule} group {number} is at {at[number] / top:.3g} of its "
                    f"peak in step {step + 1}, and the largest group at {at[largest] / peak:.3g}"
                )
    if not tried:
        raise Skip("it has a course of its own and takes no schedule")


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-3 * other


@check("optimizer")
def groups_have_their_own_rate(subject: Subject) -> None:
    """A group with a learning rate of 0 stays where it is.

    Why: schedules, warm-ups and methods with several learning rates set ``lr`` of a parameter
    group. An optimizer that reads its rate elsewhere, from its options say, ignores them all.

    Passes: with ``lr`` set to 0 in one group, and then in another, four steps leave that
    group's parameters as they are; without that they move.

    Fails: a learning rate that is kept when the optimizer is built; one rate for all groups.

    Example: ``vector moves although lr of its group is 0``.
    """
    count = len(bare_run(subject, shapes()).optimizer.param_groups)
    for chosen in (None, *range(count)):
        run = bare_run(subject, shapes())
        names = {id(p): name for name, p in run.model.named_parameters()}
        before = values(run)
        for number in range(4):
            if chosen is not None:
                run.optimizer.param_groups[chosen]["lr"] = 0.0
            take_step(run, push(run, number))
        moved = unequal(values(run), before)
        if chosen is None:
            assert moved, "no parameter moves in 4 steps"
            continue
        held = {names[id(p)] for p in run.optimizer.param_groups[chosen]["params"]}
        assert not moved & held, f"{some(moved & held)} moves although lr of its group is 0"


def _decaying(subject: Subject) -> tuple[Run, Run]:
    """The same run without and with weight decay, until a matrix differs; at most 8 steps."""
    try:
        decayed = bare_run(subject, shapes(), weight_decay=0.5)
    except (pydantic.ValidationError, InputError) as error:
        raise Skip(f"it refuses weight decay: {str(error).splitlines()[-1].strip()}") from error
    plain = bare_run(subject, shapes(), weight_decay=0.0)
    import torch

    for number in range(8):
        for run in (plain, decayed):
            torch.manual_seed(number)
            take_step(run, push(run, number, scale=1e-3))
        if "matrix" in unequal(values(decayed), values(plain)):
            break
    return plain, decayed


@check("optimizer")
def weight_decay(subject: Subject) -> None:
    """Matrices decay as the option says, and not at all without it.

    Why: ``weight_decay`` is an option of every optimizer. Libraries have defaults of their own,
    which apply where the option is not handed on.

    Passes: with the same gradients, a matrix under ``weight_decay: 0.5`` ends nearer to zero
    than one under 0; under 0 and with gradients of zero it stays as long as it was. An
    optimizer that cannot decay refuses the option with an error.

    Fails: an option that nobody reads; a decay of 0.01 that comes from a library's default;
    a decay that makes weights grow.

    Example: ``weight_decay 0.5 changes nothing about a matrix in 8 steps``.
    """
    plain, decayed = _decaying(subject)
    start, without, with_decay = (
        run["matrix"] for run in (shapes(), values(plain), values(decayed))
    )
    assert not with_decay.equal(without), (
        "weight_decay 0.5 changes nothing about a matrix in 8 steps"
    )
    pulled = float(((without - with_decay) * start).sum())
    assert pulled > 0, "weight_decay 0.5 pushes a matrix away from zero"
    run = bare_run(subject, shapes(), weight_decay=0.0)
    for number in range(4):
        take_step(run, push(run, number, scale=0.0))
    kept = float((values(run)["matrix"] * start).sum() / start.square().sum())
    assert abs(kept - 1) < 1e-6, (
        f"with weight_decay 0 and gradients of zero a matrix is {kept:.5f} times as long after "
        "4 steps"
    )


@check("optimizer")
def vectors_do_not_decay(subject: Subject) -> None:
    """Norms and biases never decay.

    Why: a norm's gain belongs near one rather than near zero, and the option's description
    promises it. ``Optimizer.parameter_groups`` makes groups that way.

    Passes: with the same gradients, a vector is the same under ``weight_decay: 0.5`` and 0
    when the matrix beside it differs.

    Fails: one group for all parameters.

    Example: ``a vector under weight_decay 0.5 is 0.5 % shorter than one without``.
    """
    plain, decayed = _decaying(subject)
    without, with_decay = (values(run)["vector"] for run in (plain, decayed))
    assert with_decay.equal(without), (
        "a vector under weight_decay 0.5 differs by "
        f"{100 * difference(with_decay, without):.2g} % from one without"
    )


@check("optimizer")
def takes_each_parameter_once(subject: Subject) -> None:
    """It has the parameters that train, each once, and no other.

    Why: what trains is the adapter's decision. ``run.trainable()`` says what that is, modules
    beside the model included; ``model.parameters()`` does not.

    Passes: the groups of an optimizer for a model with a frozen matrix and a module beside it
    hold every trainable parameter exactly once and the frozen one not at all.

    Fails: frozen weights in a group, for which decay or state may be made; a value head that
    is left out and never learns; a parameter in two groups, which moves twice.

    Example: ``head.weight trains and is in no parameter group``.
    """
    from torch import nn

    tensors = shapes()
    run = bare_run(subject, tensors, frozen={"base": tensors["matrix"]})
    run.modules["head"] = nn.Linear(4, 2)
    run.trained_names = frozenset(name for name, p in run._parameters() if p.requires_grad)
    build(run, 20)
    held = [id(p) for group in run.optimizer.param_groups for p in group["params"]]
    for name, parameter in run._parameters():
        times = held.count(id(parameter))
        if name not in run.trained_names:
            assert not times, f"{name} is frozen and in a parameter group"
        else:
            assert times, f"{name} trains and is in no parameter group"
            assert times == 1, f"{name} is in the parameter groups {times} times"
    known = {id(p) for _, p in run._parameters()}
    assert set(held) <= known, "a parameter group holds a tensor that is none of the model's"


@check("optimizer")
def leaves_what_has_no_gradient(subject: Subject) -> None:
    """A parameter without a gradient is left alone.

    Why: an expert that no token went to, or a layer that was skipped, has no gradient in a
    step. It must neither decay nor move, and needs no memory until it has one.

    Passes: after two steps, parameters whose ``grad`` is ``None`` are the same to the last
    bit, weight decay or not, and the steps made no state for them.

    Fails: a missing gradient that is taken for zero; state for every parameter of a group at
    the first step.

    Example: ``idle_matrix has no gradient and moves``.
    """
    tensors = shapes()
    idle = {f"idle_{name}": tensor.clone() for name, tensor in tensors.items()}
    try:
        run = bare_run(subject, {**tensors, **idle}, weight_decay=0.5)
    except (pydantic.ValidationError, InputError):
        run = bare_run(subject, {**tensors, **idle})
    state = run.optimizer.state
    parameters = dict(run.model.named_parameters())
    had = {name for name in idle if state.get(parameters[name])}
    for number in range(2):
        take_step(run, push(run, number, tensors))
    odd = {name for name, tensor in idle.items() if not parameters[name].equal(tensor)}
    assert not odd, f"{some(odd)} has no gradient and moves"
    has = {name for name in idle if state.get(parameters[name])} - had
    assert not has, f"{some(has)} has no gradient and gets state"


@check("optimizer")
def clears_gradients(subject: Subject) -> None:
    """``zero_grad`` clears the gradients.

    Why: the loop calls it after each step. What is left is added to the next gradient.

    Passes: after ``zero_grad(set_to_none=True)`` no parameter has a gradient other than zero.

    Fails: a method of its own that forgets a group, or does nothing.

    Example: ``vector still has a gradient after zero_grad``.
    """
    run = bare_run(subject, shapes())
    loss = push(run, 0)
    if loss.requires_grad:
        loss.backward()
    run.optimizer.zero_grad(set_to_none=True)
    odd = {
        name
        for name, p in run.model.named_parameters()
        if p.grad is not None and bool(p.grad.abs().sum())
    }
    assert not odd, f"{some(odd)} still has a gradient after zero_grad"
