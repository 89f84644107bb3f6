"""The sizes of the layers that a method adapts, held against its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ft.api import InputError
from ft_adapter_peft.saved import named

if TYPE_CHECKING:
    from torch import nn


def layer_sizes(model: nn.Module, target: str | Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """The name, the inputs and the outputs of each linear layer that ``target`` means."""
    for name in sorted(named(model, target)):
        module: Any = model.get_submodule(name)
        # a Conv1D holds its weight (in, out), and has no such attributes
        inputs, outputs = (
            (module.in_features, module.out_features)
            if hasattr(module, "in_features")
            else module.weight.shape
        )
        yield name, inputs, outputs


def require_divides(
    model: nn.Module, target: str | Sequence[str], option: str, size: int, *, outputs: bool = False
) -> None:
    """Raise :class:`InputError` unless ``size`` divides the inputs, or outputs, of each layer."""
    for name, *sizes in layer_sizes(model, target):
        if sizes[outputs] % size:
            fitting = [n for n in range(2, min(sizes[outputs], 257)) if sizes[outputs] % n == 0]
            raise InputError(
                f"adapter.{option}: blocks of {size} do not divide the {sizes[outputs]} "
                f"{'outputs' if outputs else 'inputs'} of {name}",
                hint=f"these do: {', '.join(map(str, fitting))}",
            )
