"""Losses of hidden states, slice by slice, with a backward pass of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

LOGITS = 2**30
"""Bytes of logits in a slice where nobody says how long it is."""


def sliced_losses(
    states: Tensor, head: nn.Linear, targets: Tensor, smoothing: float, rows: int | None
) -> Tensor:
    """The cross-entropy (float32, shape (N,)) of ``targets`` (int64, shape (N,)).

    ``states`` has shape (N, width); ``rows`` is the length of a slice. The products are in the
    type of autocast, or of the states; the losses are computed in float32 from them.
    """
    kind = states.dtype
    if torch.is_autocast_enabled(states.device.type):
        kind = torch.get_autocast_dtype(states.device.type)
    weight, bias = head.weight.to(kind), None if head.bias is None else head.bias.to(kind)
    step, count = step_of(states.device), len(states)
    rows = rows or max(step, LOGITS // (weight.shape[0] * weight.element_size()) // step * step)
    more = -count % step
    states, targets = pad(states.to(kind), (0, 0, 0, more)), pad(targets, (0, more))
    with torch.autocast(states.device.type, enabled=False):
        return Sliced.apply(states, weight, bias, targets, smoothing, rows)[:count]


def step_of(device: torch.device) -> int:
    """Slices are a multiple of so many tokens long, the last one filled up with zeros.

    For each new length of a product the library of an accelerator looks for the best way to
    compute it, which takes longer than the product; and the number of trained tokens is new at
    each step.
    """
    return 1 if device.type == "cpu" else 256


class Sliced(torch.autograd.Function):
    """Losses forward; the gradient of a frozen layer's input is made on the way."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        smoothing: float,
        rows: int,
    ) -> Tensor:
        ctx.smoothing, ctx.rows = smoothing, rows
        ctx.trains = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        at_once = ctx.needs_input_grad[0] and not ctx.trains
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        gradient = torch.empty_like(states) if at_once else None
        for part in slices(len(states), rows):
            logits = logits_of(states[part], weight, bias)
            losses[part] = losses_to_gradient(logits, targets[part], smoothing, at_once)
            if gradient is not None:
                torch.mm(logits, weight, out=gradient[part])
        if ctx.trains:
            ctx.save_for_backward(states, weight, bias, targets)
        else:
            ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        if not ctx.trains:
            (gradient,) = ctx.saved_tensors
            return (gradient * outer[:, None].to(gradient.dtype), *[None] * 5)
        states, weight, bias, targets = ctx.saved_tensors
        of_states = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        # float32, because thousands of tokens are summed slice by slice
        of_weight = torch.zeros_like(weight, dtype=torch.float32)
        of_bias = None if bias is None else torch.zeros_like(bias, dtype=torch.float32)
        for part in slices(len(states), ctx.rows):
            logits = logits_of(states[part], weight, bias)
            losses_to_gradient(logits, targets[part], ctx.smoothing, True)
            logits *= outer[part, None].to(logits.dtype)
            if of_states is not None:
                torch.mm(logits, weight, out=of_states[part])
            of_weight += logits.t() @ states[part]
            if of_bias is not None:
                of_bias += logits.sum(0, dtype=torch.float32)
        return of_states, of_weight.to(weight.dtype), of_bias, None, None, None


def slices(count: int, rows: int) -> Iterator[slice]:
    """``count`` tokens in parts of ``rows``."""
    return (slice(start, start + rows) for start in range(0, count, rows))


def logits_of(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return states @ weight.t() if bias is None else torch.addmm(bias, states, weight.t())


def losses_to_gradient(logits: Tensor, targets: Tensor, smoothing: float, gradient: bool) -> Tensor:
    """The losses of ``logits`` (N, vocabulary); with ``gradient`` that takes their place."""
    if logits.is_cuda:
        from ft_kernel_fused_loss.rows import losses_of_rows

        return losses_of_rows(logits, targets, smoothing, gradient)
    wide = logits.float()
    total = wide.logsumexp(-1)
    at_target = wide.gather(1, targets[:, None])[:, 0]
    losses = total - (1 - smoothing) * at_target
    if smoothing:
        losses -= smoothing * wide.mean(-1)
    if gradient:
        wide = (wide - total[:, None]).exp_()
        wide -= smoothing / wide.shape[1]
        wide.scatter_add_(
            1, targets[:, None], torch.full_like(targets, smoothing - 1, dtype=wide.dtype)[:, None]
        )
        logits.copy_(wide)
    return losses
