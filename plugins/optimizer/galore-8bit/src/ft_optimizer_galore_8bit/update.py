"""GaLore's update with block-wise moments (Dettmers et al., 2022, arXiv:2110.02861)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from bitsandbytes import functional
from torch import Tensor

from ft_optimizer_galore.update import ProjectedAdam

BLOCK = 256
"""Numbers with a scale of their own, in bitsandbytes' kernel."""
SMALLEST = 4096
"""Fewer numbers than these keep 32 bits, as in the paper."""


class ProjectedAdam8bit(ProjectedAdam):
    """Adam's two moments are kept in 8 bits."""

    def direction(
        self, gradient: Tensor, state: MutableMapping[str, Any], group: MutableMapping[str, Any]
    ) -> Tensor:
        if gradient.numel() < SMALLEST:
            return super().direction(gradient, state, group)
        if "step" not in state:
            state["step"] = 0
            blocks = -(-gradient.numel() // BLOCK)
            for name in ("1", "2"):
                state[f"moment{name}"] = torch.zeros_like(
                    gradient, dtype=torch.uint8, memory_format=torch.contiguous_format
                )
                state[f"scale{name}"] = gradient.new_zeros(blocks, dtype=torch.float32)
        state["step"] += 1
        # the kernel moves a parameter against the direction; this one starts at zero
        moved = torch.zeros_like(gradient, memory_format=torch.contiguous_format)
        functional.optimizer_update_8bit_blockwise(
            "adam",
            gradient.contiguous(),
            moved,
            state["moment1"],
            state["moment2"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            beta3=0.0,
            alpha=0.0,
            eps=group["epsilon"],
            step=state["step"],
            lr=1.0,
            qmap1=self._levels(gradient.device, signed=True),
            qmap2=self._levels(gradient.device, signed=False),
            absmax1=state["scale1"],
            absmax2=state["scale2"],
        )
        return moved.neg_()

    def _levels(self, device: torch.device, *, signed: bool) -> Tensor:
        """The values of the 256 codes of a moment, between -1 or 0 and 1."""
        kept: dict[bool, Tensor] = self.__dict__.setdefault("_of_codes", {})
        if signed not in kept:
            kept[signed] = functional.create_dynamic_map(signed=signed).to(device)
        return kept[signed]
