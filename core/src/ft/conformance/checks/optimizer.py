"""Optimizers: they minimize, remember, and do what their options and groups say.

Most checks step on a handful of bare parameters, which takes milliseconds and whose right
answer is known; two train the reference model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pydantic

from ft.api import InputError, Run, RunError
from ft.conformance.bench import (
    LEARNING_RATE,
    assert_refuses,
    assert_resumes,
    difference,
    some,
    tiny_run,
    train,
)
from ft.conformance.check import Skip, check
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

RATES = (1e-3, 1e-2, 1e-1, 1.0)
"""Learning rates that are tried: what suits sign-based, adaptive and plain methods differs."""


# -- what checks are made of ---------------------------------------------------------------


def bare_run(
    subject: Subject,
    tensors: Mapping[str, Tensor],
    *,
    steps: int = 20,
    frozen: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> Run:
    """A run whose model is nothing but copies of ``tensors``, with optimizer and schedule.

    The learning rate is constant unless ``options`` of the optimizer say otherwise. ``frozen``
    are further parameters, which do not train.
    """
    import torch

    from ft.conformance.reference import REFERENCES
    from ft.pipeline.defaults import DEFAULTS
    from ft.plugins.selection import Selection

    optimizer = bound(subject, **{"learning_rate": 1e-2, "schedule": "constant", **options})
    parts = [optimizer, REFERENCES["trainer"].bind("reference")]
    run = Run(Selection(parts, DEFAULTS), folder=subject.folder)
    run.device, run.weight_dtype = torch.device("cpu"), torch.float32
    run.model = _bare_model(tensors, frozen or {})
    run.trained_names = frozenset(name for name, p in run.trainable() if p.requires_grad)
    build(run, steps)
    return run


def bound(subject: Subject, **options: Any) -> Any:
    """The optimizer with these options, without the schedule where it has its own course."""
    try:
        return subject.bind(**options)
    except pydantic.ValidationError as error:
        if {e["loc"][:1] for e in error.errors()} != {("schedule",)}:
            raise
    return subject.bind(**{k: v for k, v in options.items() if k != "schedule"})


def build(run: Run, steps: int) -> None:
    """Build optimizer and schedule as the pipeline does."""
    run.state.total_steps = steps
    run.optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    assert run.optimizer is not None, "ft_build_optimizer returned nothing"
    run.scheduler = run.hook.ft_build_scheduler(run=run, optimizer=run.optimizer, steps=steps)


def _bare_model(tensors: Mapping[str, Tensor], frozen: Mapping[str, Tensor]) -> Any:
    from torch import nn

    class Bare(nn.Module):
        """A model without an embedding or an output layer, as optimizers may ask for them."""

        def get_input_embeddings(self) -> None:
            return None

        def get_output_embeddings(self) -> None:
            return None

    model = Bare()
    for name, tensor in tensors.items():
        model.register_parameter(name, nn.Parameter(tensor.detach().clone()))
    for name, tensor in frozen.items():
        model.register_parameter(name, nn.Parameter(tensor.clone(), requires_grad=False))
    return model


def take_step(run: Run, *losses: Tensor, before: Callable[[], object] = lambda: None) -> None:
    """One step as the loop takes it, from a backward pass of each loss.

    ``before`` is called with the gradients summed, ahead of the step.
    """
    for loss in losses:
        if loss.requires_grad:  # nothing of it does where an optimizer trains block by block
            loss.backward()
    run.hook.ft_gradients_ready(run=run, model=run.model)
    before()
    run.optimizer.step()
    run.hook.ft_step_taken(run=run, model=run.model)
    run.optimizer.zero_grad(set_to_none=True)
    run.scheduler.step()


def shapes() -> dict[str, Tensor]:
    """A matrix and a vector of random numbers, the same ones each time."""
    import torch

    generator = torch.Generator().manual_seed(7)
    return {
        "matrix": torch.randn(16, 8, generator=generator),
        "vector": torch.randn(8, generator=generator),
    }


def push(run: Run, number: int, names: Iterable[str] | None = None, scale: float = 1.0) -> Tensor:
    """A loss whose gradient is random and depends on ``number`` alone, not on the weights."""
    import torch

    generator = torch.Generator().manual_seed(number)
    parameters = dict(run.model.named_parameters())
    total = torch.zeros(())
    for name in names or parameters:
        towards = torch.randn(parameters[name].shape, generator=generator) * scale
        total = total + (parameters[name] * towards).sum()
    return total


def values(run: Run) -> dict[str, Tensor]:
    """Copies of the parameters of a bare run."""
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


def unequal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> set[str]:
    """The names of the tensors that are not the same to the last bit."""
    return {name for name in one if not one[name].equal(other[name])}


def rates(subject: Subject) -> list[float]:
    """The learning rates to try: that of the sample or the default first."""
    return list(dict.fromkeys((subject.bind().options.learning_rate, *RATES)))


def loop_options(subject: Subject, **options: Any) -> dict[str, Any]:
    """Options of the trainer beside it: no clipping where it does not accept that."""
    clips = subject.support("gradient-clipping") == "full"
    return {**({} if clips else {"max_grad_norm": None}), **options}


def tensors_in(thing: Any, seen: set[int] | None = None) -> list[Tensor]:
    """The tensors in nested containers and plain objects."""
    import torch

    seen = set() if seen is None else seen
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        return [thing]
    if isinstance(thing, Mapping):
        return [t for value in thing.values() for t in tensors_in(value, seen)]
    if isinstance(thing, (list, tuple, set)):
        return [t for value in thing for t in tensors_in(value, seen)]
    if hasattr(thing, "__dict__") and not callable(thing):
        return tensors_in(vars(thing), seen)
    return []


def bytes_of(tensors: Iterable[Tensor], but: Iterable[Tensor] = ()) -> int:
    """The memory of tensors, each storage counted once; quantized ones by their parts.

    What lies in the memory of ``but`` does not count.
    """
    storages: dict[int, int] = {}
    waiting = list(tensors)
    while waiting:
        tensor = waiting.pop()
        if hasattr(tensor, "__tensor_flatten__"):
            names, _ = tensor.__tensor_flatten__()
            waiting += [getattr(tensor, name) for name in names]
            continue
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    for tensor in but:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(storages.values())


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


# -- options and groups --------------------------------------------------------------------


def _course(subject: Subject, schedule: str) -> tuple[list[list[float]], list[int]]:
    """The learning rate of each group at each of 20 steps and after them; sizes of the groups."""
    peak = 1e-3
    optimizer_options: dict[str, Any] = {
        "learning_rate": peak,
        "warmup": 4,
        "min_learning_rate": peak / 10,
    }
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
            f"{said} does not rise over a warm-up of 4 steps: {_figures(warming)}"
        )
        after = rates_seen[4:]
        if schedule == "constant":
            assert all(_near(rate, peak) for rate in after), f"{said} moves: {_figures(after)}"
        else:
            assert after == sorted(after, reverse=True), f"{said} rises again: {_figures(after)}"
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


def _figures(numbers: list[float]) -> str:
    return ", ".join(f"{number:.3g}" for number in numbers[:8])


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


# -- capabilities --------------------------------------------------------------------------


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
        f"step(closure) returns {float(returned):.4g}, and the closure gave {_figures(losses)}"
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
                norms.append(float(clip(run, 0.1)))

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
