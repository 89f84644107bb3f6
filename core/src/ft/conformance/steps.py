"""What checks of optimizers are made of: runs of bare parameters, stepped one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pydantic

from ft.api import Run
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

RATES = (1e-3, 1e-2, 1e-1, 1.0)
"""Learning rates that are tried: what suits sign-based, adaptive and plain methods differs."""


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


def figures(numbers: Iterable[float]) -> str:
    """The first few numbers, for a message."""
    return ", ".join(f"{number:.3g}" for number in list(numbers)[:8])
