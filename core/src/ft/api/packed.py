"""A linear layer whose weight stays in the form that a checkpoint stores.

The one module of the contract that needs torch as it is imported: from inside of functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class PackedLinear(nn.Linear):
    """y = x Wᵀ + bias, with W (out, in) made anew from its stored tensors for each product.

    ``stored`` are the tensors of a layer in the checkpoint, by their names there; those of the
    meta device are filled in as the checkpoint is read. None of them trains. A subclass names the
    ``main`` one and says with :meth:`unpacked` what weight they stand for.

    It is an :class:`ft.api.FrozenLinear`. Between two products nothing but the stored tensors is
    kept, and the backward pass unpacks once more.
    """

    main: ClassVar[str]
    """The stored tensor that is called ``weight`` once it is read, not to be computed with."""

    def __init__(self, linear: nn.Linear, stored: Mapping[str, Tensor]):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_parameter("bias", None)
        for name, tensor in stored.items():
            self.register_parameter(name, nn.Parameter(tensor, requires_grad=False))

    @classmethod
    def unpacked(cls, kind: torch.dtype, *operands: Any) -> Tensor:
        """The weight (out, in) in ``kind``, in memory of its own."""
        raise NotImplementedError

    def operands(self) -> tuple[Any, ...]:
        """What :meth:`unpacked` needs, beside the type."""
        raise NotImplementedError

    def settle(self) -> None:
        """Bring what was read from the checkpoint into the form that it is kept in."""
        if self.main != "weight":
            self.weight = self._parameters.pop(self.main)  # type: ignore[assignment]

    def plain(self, kind: torch.dtype) -> nn.Linear:
        """The layer that this one stands for."""
        made = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        made.weight = nn.Parameter(self.unpacked(kind, *self.operands()))
        if self.bias is not None:
            made.bias = nn.Parameter(self.bias.detach().to(kind))
        return made

    def forward(self, x: Tensor) -> Tensor:
        out = _Product.apply(x.reshape(-1, self.in_features), type(self), *self.operands())
        out = out.view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias.to(out.dtype)

    @classmethod
    def multiply(cls, x: Tensor, *operands: Any) -> Tensor:
        return x @ cls.unpacked(x.dtype, *operands).t()

    @classmethod
    def multiply_transposed(cls, y: Tensor, *operands: Any) -> Tensor:
        return y @ cls.unpacked(y.dtype, *operands)


class _Product(torch.autograd.Function):
    """The product, of which the input alone has a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: type[PackedLinear], *operands: Any) -> Tensor:
        kind = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
        ctx.layer, ctx.operands, ctx.kind = layer, operands, x.dtype
        return layer.multiply(x.to(kind), *operands)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        of_x = ctx.layer.multiply_transposed(outer, *ctx.operands)
        return (of_x.to(ctx.kind), None, *[None] * len(ctx.operands))


def nibbles(packed: Tensor, bits: int, shifts: Tensor | None = None) -> Tensor:
    """The unsigned values of ``bits`` (2, 4 or 8) that int32 words hold, lowest bits first.

    A last dimension is added, of 32 / ``bits`` values, in uint8. ``shifts`` is the place of
    each value where it is another.
    """
    if shifts is None:
        shifts = torch.arange(0, 32, bits, device=packed.device, dtype=torch.int32)
    return ((packed.unsqueeze(-1) >> shifts) & (2**bits - 1)).to(torch.uint8)


def words(values: Tensor, bits: int) -> Tensor:
    """The other way round: the last dimension, of 32 / ``bits`` values, in one int32."""
    shifts = torch.arange(0, 32, bits, device=values.device, dtype=torch.int64)
    joined = (values.to(torch.int64) << shifts).sum(-1)
    return torch.where(joined >= 2**31, joined - 2**32, joined).to(torch.int32)
