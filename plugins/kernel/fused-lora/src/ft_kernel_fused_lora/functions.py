"""Low-rank layers as autograd functions.

Shapes: x (tokens, in), y (tokens, out). Several layers that share x have their A on top of one
another, each times its scale: ``a`` of shape (all ranks, in), in the type of the products. Each B
is ``b`` of shape (out, rank). The parameters themselves, all A and then all B, in float32 as a
rule, are arguments so that autograd hands their gradients on; their values come from ``a`` and
``b``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ft_kernel_fused_lora.products import Form, Operands

LIBRARY = torch.library.Library("ft_fused_lora", "FRAGMENT")
# not torch.library.custom_op, which does some 20 µs more at each of a hundred calls in a step
LIBRARY.define("accumulate(Tensor(a!) total, Tensor left, Tensor right) -> ()")


@torch.library.impl(LIBRARY, "accumulate", "CompositeExplicitAutograd")
def _accumulate(total: Tensor, left: Tensor, right: Tensor) -> None:
    total.addmm_(left, right)


@torch.library.register_fake("ft_fused_lora::accumulate")
def _(total: Tensor, left: Tensor, right: Tensor) -> None:
    return None


def accumulate(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Add left @ right to ``total`` in place.

    A compiler makes a new sum of ``addmm_``, which costs a copy of ``total``: it gets an
    operation that it cannot look into.
    """
    if torch.compiler.is_compiling():
        torch.ops.ft_fused_lora.accumulate(total, left, right)
        return total
    return total.addmm_(left, right)


NARROW = 3
"""Up to how many times as wide as their input layers together are taken for narrow."""


class Joined(torch.autograd.Function):
    """Layers of one dense weight, with the low-rank products as columns or rows of it.

    ``weight`` has the frozen weights on top of one another, (out, in). With ``wide`` the B stand
    to the right of it, each in columns of its own, and x is extended by x Aᵀ; otherwise ``a``
    stands below it, and y is extended by y B backward: the cheaper of the two, because the one
    that is extended is copied.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        a: Tensor,
        b: Sequence[Tensor],
        wide: bool,
        scales: Sequence[float],
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        rows, inside = sum(len(one) for one in b), a.shape[1]
        xa = x @ a.t()
        if wide:
            y = torch.cat([x, xa], 1) @ weight.t()
        else:
            y = x @ weight[:rows].t()
            start = 0
            for part, low in zip(y.split([len(one) for one in b], 1), b, strict=True):
                accumulate(part, xa[:, start : start + low.shape[1]], low.t())
                start += low.shape[1]
        ctx.save_for_backward(x, xa, weight, a, *b)
        ctx.wide, ctx.inside = wide, inside
        ctx.scales, ctx.kinds = scales, [parameter.dtype for parameter in parameters]
        return tuple(y.split([len(one) for one in b], 1))

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Any, ...]:
        x, xa, weight, a, *b = ctx.saved_tensors
        rows = [len(one) for one in b]
        frozen, of_x = weight[: sum(rows), : ctx.inside], None
        if ctx.wide and sum(rows) <= NARROW * ctx.inside:
            # side by side the gradients make one product of each kind, for the price of a copy
            y, ranks = torch.cat(outer, 1), [one.shape[1] for one in b]
            ya = y @ weight[:, ctx.inside :]
            of_a = list((ya.t() @ x).split(ranks))
            of_b = blocks(y.t() @ xa, rows, ranks)
            if ctx.needs_input_grad[0]:
                of_x = accumulate(y @ frozen, ya, a)
            return (of_x, *[None] * 5, *typed(of_a, of_b, ctx))
        ya, of_a, of_b = low_rank_gradients(x, xa, b, outer)
        if ctx.needs_input_grad[0]:
            if ctx.wide or len(b) > 1:
                parts = frozen.split(rows)
                of_x = outer[0] @ parts[0]
                for y, one in zip(outer[1:], parts[1:], strict=True):
                    accumulate(of_x, y, one)
                accumulate(of_x, ya, a)
            else:
                of_x = torch.cat([outer[0], ya], 1) @ weight
        return (of_x, *[None] * 5, *typed(of_a, of_b, ctx))


class Apart(torch.autograd.Function):
    """Layers whose frozen products are in forms of their own, such as quantized ones."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        a: Tensor,
        b: Sequence[Tensor],
        forms: Sequence[Form],
        operands: Sequence[Operands],
        scales: Sequence[float],
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        xa = x @ a.t()
        out, start = [], 0
        for form, own, low in zip(forms, operands, b, strict=True):
            y = form.forward(x, own)
            out.append(accumulate(y, xa[:, start : start + low.shape[1]], low.t()))
            start += low.shape[1]
        ctx.save_for_backward(x, xa, a, *b)
        ctx.forms, ctx.operands = forms, operands
        ctx.scales, ctx.kinds = scales, [parameter.dtype for parameter in parameters]
        return tuple(out)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Any, ...]:
        x, xa, a, *b = ctx.saved_tensors
        ya, of_a, of_b = low_rank_gradients(x, xa, b, outer)
        of_x: Any = None
        if ctx.needs_input_grad[0]:
            for form, own, y in zip(ctx.forms, ctx.operands, outer, strict=True):
                part = form.backward(y, own)
                of_x = part if of_x is None else of_x.add_(part)
            of_x = accumulate(of_x, ya, a)
        return (of_x, *[None] * 5, *typed(of_a, of_b, ctx))


def low_rank_gradients(
    x: Tensor, xa: Tensor, b: Sequence[Tensor], outer: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Give y B of all layers side by side, and the gradients of each scaled A and of each B."""
    ranks = [one.shape[1] for one in b]
    ya = torch.cat([y @ one for y, one in zip(outer, b, strict=True)], 1)
    of_a = list((ya.t() @ x).split(ranks))
    of_b = [y.t() @ low for y, low in zip(outer, xa.split(ranks, 1), strict=True)]
    return ya, of_a, of_b


def blocks(matrix: Tensor, rows: Sequence[int], columns: Sequence[int]) -> list[Tensor]:
    """The blocks along the diagonal."""
    bands = matrix.split(list(rows))
    return [band.split(list(columns), 1)[number] for number, band in enumerate(bands)]


def typed(of_a: Sequence[Tensor], of_b: Sequence[Tensor], ctx: Any) -> list[Tensor]:
    """The gradients of the parameters in the types of those: all A, then all B."""
    unscaled = [scale * one for scale, one in zip(ctx.scales, of_a, strict=True)]
    return [grad.to(kind) for grad, kind in zip([*unscaled, *of_b], ctx.kinds, strict=True)]
