"""The update of a matrix, and AdamW's of anything else."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api.per_parameter import PerParameter, adam

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic whose iteration brings every singular value near 1 soonest."""


def working_type(device: torch.device) -> torch.dtype:
    """The type of the iterations: a CPU may have to emulate products in bfloat16."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def orthogonal(matrix: Tensor, iterations: int) -> Tensor:
    """Near the U V^T of a matrix's singular value decomposition; of each in a stack."""
    a, b, c = COEFFICIENTS
    wide = matrix.mT if matrix.shape[-2] > matrix.shape[-1] else matrix
    found = wide.reshape(-1, *wide.shape[-2:]).to(working_type(matrix.device))
    found = found / found.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(iterations):
        gram = found @ found.mT
        found = torch.baddbmm(
            found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a
        )
    found = found.reshape(wide.shape)
    return (found if wide is matrix else found.mT).to(matrix.dtype)


class MuonAndAdamW(PerParameter):
    """Muon in groups that are ``orthogonal``, AdamW in the others."""

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        if not group["orthogonal"]:
            direction = adam(gradient, state, group["betas"], group["epsilon"])
            parameter.sub_(direction, alpha=group["lr"])
            return
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
        # an orthogonal matrix has an RMS of 1 / sqrt(its longer side); AdamW's updates one of 0.2
        scale = 0.2 * max(parameter.shape[-2:]) ** 0.5
        parameter.sub_(orthogonal(ahead, group["iterations"]), alpha=group["lr"] * scale)
