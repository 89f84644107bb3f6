"""Algorithm 1 of the paper."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api.per_parameter import PerParameter, adam

ROUND = 1_000_003
"""Between the seeds of two projections of a matrix; more than there are matrices."""


def projection(gradient: Tensor, rank: int, seed: int) -> Tensor:
    """A random (rank, shorter side) matrix whose products keep norms, the same for each seed."""
    generator = torch.Generator(gradient.device).manual_seed(seed)
    shape = (rank, min(gradient.shape[-2:]))
    drawn = torch.randn(shape, generator=generator, device=gradient.device)
    return (drawn / rank**0.5).to(gradient.dtype)


class ScaledDescent(PerParameter):
    """Gradients times what Adam would do to a projection of them.

    In groups without a ``rank``, and on matrices with no side above it, plain Adam.
    """

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        rank = group["rank"]
        if rank is None or min(parameter.shape[-2:]) <= rank:
            direction = adam(gradient, state, group["betas"], group["epsilon"])
            parameter.sub_(direction, alpha=group["lr"])
            return
        # not drawn: every process must have the same, and a generator's numbers are others'
        seed = state.setdefault("seed", group["seed"] + len(self.state))
        seed += ROUND * (state.get("step", 0) // group["update_gap"])
        # channels lie along the longer side: columns from here on
        wide = gradient.shape[-2] <= gradient.shape[-1]
        upright = gradient if wide else gradient.mT
        small = projection(upright, rank, seed) @ upright
        step = adam(small, state, group["betas"], group["epsilon"])
        over = (-2, -1) if group["tensor_wise"] else (-2,)
        sizes = _norm(step, over) / _norm(small, over).clamp(min=1e-30)
        scaled = upright * (sizes * group["scale"]).to(upright.dtype)
        scaled = self._limited(scaled, state, group["growth_limit"])
        parameter.sub_(scaled if wide else scaled.mT, alpha=group["lr"])

    def _limited(self, scaled: Tensor, state: MutableMapping[str, Any], limit: float) -> Tensor:
        """``scaled``, no longer than ``limit`` times what it was in the step before."""
        norm = _norm(scaled, (-2, -1))
        if "norm" in state:
            most = limit * state["norm"].float()
            scaled = scaled * (most / norm.clamp(min=1e-30)).clamp(max=1).to(scaled.dtype)
            norm = torch.minimum(norm, most)
        state["norm"] = norm.to(scaled.dtype)
        return scaled


def _norm(tensor: Tensor, over: tuple[int, ...]) -> Tensor:
    return tensor.float().norm(dim=over, keepdim=True)
