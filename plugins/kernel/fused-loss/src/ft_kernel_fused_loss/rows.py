"""The cross-entropy of rows of logits on an accelerator, in place."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 16384
"""Logits that a program holds at once."""


def losses_of_rows(logits: Tensor, targets: Tensor, smoothing: float, gradient: bool) -> Tensor:
    """The losses (float32, shape (N,)) of ``logits`` (N, vocabulary), rows next to one another.

    With ``gradient`` the logits are overwritten by the gradient of each row's loss.
    """
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    if len(logits):
        _row[(len(logits),)](
            logits,
            targets,
            losses,
            logits.stride(0),
            logits.shape[1],
            smoothing,
            GRADIENT=gradient,
            SMOOTH=smoothing > 0,
            BLOCK=min(BLOCK, triton.next_power_of_2(logits.shape[1])),
            num_warps=16,
        )
    return losses


@triton.jit
def _row(
    logits,
    targets,
    losses,
    stride,
    width,
    smoothing,
    GRADIENT: tl.constexpr,  # noqa: N803
    SMOOTH: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64)
    logits += row * stride
    target = tl.load(targets + row)
    # read before any logit is overwritten
    at_target = tl.load(logits + target).to(tl.float32)
    places = tl.arange(0, BLOCK)
    highest = float("-inf")
    total = 0.0
    added = 0.0
    for start in range(0, width, BLOCK):
        inside = start + places < width
        x = tl.load(logits + start + places, mask=inside, other=float("-inf")).to(tl.float32)
        new = tl.maximum(highest, tl.max(x))
        total = total * tl.exp(highest - new) + tl.sum(tl.exp(x - new))
        highest = new
        if SMOOTH:
            added += tl.sum(tl.where(inside, x, 0.0))
    whole = highest + tl.log(total)
    loss = whole - at_target
    if SMOOTH:
        loss = whole - (1 - smoothing) * at_target - smoothing * added / width
    tl.store(losses + row, loss)
    if GRADIENT:
        for start in range(0, width, BLOCK):
            inside = start + places < width
            x = tl.load(logits + start + places, mask=inside, other=float("-inf")).to(tl.float32)
            slope = tl.exp(x - whole)
            slope -= tl.where(start + places == target, 1 - smoothing, 0.0)
            if SMOOTH:
                slope -= smoothing / width
            tl.store(logits + start + places, slope.to(logits.dtype.element_ty), mask=inside)
