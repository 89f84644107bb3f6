"""The product of a frozen layer's weight, in each form that the weight comes in.

A form is a pair of functions over the layer's operands: ``forward(x, operands)`` gives x Wᵀ for
x of shape (tokens, in), ``backward(y, operands)`` gives y W for y of shape (tokens, out).
Neither is differentiated: the functions around them know what they compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ft.api import FrozenLinear

Operands = tuple[Any, ...]


@dataclass(frozen=True)
class Form:
    """How a kind of layer multiplies; ``kind`` of its operands is the type it computes in."""

    operands: Callable[[Any], Operands]
    forward: Callable[[Tensor, Operands], Tensor]
    backward: Callable[[Tensor, Operands], Tensor]


def form_of(layer: nn.Module) -> Form | None:
    """The form of a layer; ``None`` for one that is not known."""
    if isinstance(layer, FrozenLinear):
        return FROZEN
    if type(layer) is nn.Linear:
        return DENSE
    if type(layer).__name__ == "Linear4bit" and hasattr(layer.weight, "quant_state"):
        return FOUR_BITS
    return None


def dequantized(operands: Operands) -> Tensor:
    """The weight of a 4-bit layer, (out, in), in the type that it was quantized from."""
    from bitsandbytes.functional import dequantize_4bit

    packed, state = operands
    return dequantize_4bit(packed, state)


DENSE = Form(
    lambda layer: (layer.weight.detach(),),
    lambda x, operands: x @ operands[0].t(),
    lambda y, operands: y @ operands[0],
)
FOUR_BITS = Form(
    lambda layer: (layer.weight.data, layer.weight.quant_state),
    lambda x, operands: x @ dequantized(operands).t(),
    lambda y, operands: y @ dequantized(operands),
)
FROZEN = Form(
    lambda layer: (type(layer), *layer.operands()),
    lambda x, operands: operands[0].multiply(x, *operands[1:]),
    lambda y, operands: operands[0].multiply_transposed(y, *operands[1:]),
)
