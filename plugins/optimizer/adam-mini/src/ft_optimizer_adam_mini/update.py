"""Algorithm 1 of the paper, with its partition of Transformers."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api.per_parameter import PerParameter


def mean_square(gradient: Tensor, rows: int) -> Tensor:
    """The mean of g² over each block: ``rows`` rows of a matrix, or the whole of a vector."""
    if gradient.ndim < 2:
        return gradient.square().mean().reshape(1)
    return gradient.square().reshape(len(gradient) // rows, -1).mean(1)


class BlockwiseAdam(PerParameter):
    """Adam whose second moment has one number for each block."""

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        near, far = group["betas"]
        found = mean_square(gradient, group["rows"])
        if "step" not in state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros_like(found)
        state["step"] += 1
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - near)
        square.mul_(far).add_(found, alpha=1 - far)
        root = square.div(1 - far ** state["step"]).sqrt_().add_(group["epsilon"])
        rate = group["lr"] / (1 - near ** state["step"]) / root
        if parameter.ndim >= 2:
            rate = rate.repeat_interleave(group["rows"]).reshape(-1, *[1] * (parameter.ndim - 1))
        parameter.addcmul_(mean, rate, value=-1)
