"""Kind ``quantizer``: base weights in fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from ft.api.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor


class Quantizer(Plugin):
    """A quantization of the base weights.

    A subclass implements :func:`ft_quantization_config` for quantization on load, or
    :func:`ft_prepare_model` and :func:`ft_finish_model` for one that is trained through.
    """

    kind = "quantizer"
    provides = frozenset({"quantized-base"})

    drift: ClassVar[float] = 0.1
    """How far quantizing may move the logits of a random model, as the root mean square of the
    difference over that of the logits."""

    def bits_per_weight(self) -> float:
        """Bits that one quantized weight takes in memory with these options, scales included."""
        raise NotImplementedError


@runtime_checkable
class FrozenLinear(Protocol):
    """A linear layer that lends its frozen product to a kernel that differentiates around it.

    ``operands()`` are what the product needs: tensors that do not train. With them, and without
    a graph, ``multiply`` makes x Wᵀ of x (tokens, in), ``multiply_transposed`` y W of y
    (tokens, out), each in the type of its first argument and in memory of its own.
    """

    def operands(self) -> tuple[Any, ...]: ...

    @staticmethod
    def multiply(x: Tensor, *operands: Any) -> Tensor: ...

    @staticmethod
    def multiply_transposed(y: Tensor, *operands: Any) -> Tensor: ...
