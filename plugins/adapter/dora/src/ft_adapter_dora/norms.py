"""DoRA's layer without the weight as a whole.

PEFT adds the update to the weight in every forward pass, and reads the weight itself, which it
can for few kinds of quantized layers. The norms of the rows need neither:

    ||W + s B A||^2 = ||W||^2 + 2 s B * (W A^T) + s^2 B * (B A A^T), summed over each row.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.dora import DoraLinearLayer
from torch import Tensor, nn

from ft_adapter_lora import columns, product


class Norms(DoraLinearLayer):
    """The magnitudes of one layer, saved as PEFT's are."""

    squares: Tensor

    @torch.no_grad()
    def update_layer(self, *, base_layer: Any, scaling: float, **factors: Any) -> None:
        self.register_buffer("squares", self.row_squares(base_layer), persistent=False)
        a, b = factors["lora_A"].float(), factors["lora_B"].float()
        self.weight = nn.Parameter(self.norms(base_layer, a, b, scaling))

    @staticmethod
    @torch.no_grad()
    def row_squares(base_layer: Any) -> Tensor:
        """||W||^2 of each row, in float32."""
        total: Any = sum(part.square().sum(0) for part in columns(base_layer))
        return total

    @torch.no_grad()
    def norms(self, base_layer: Any, a: Tensor, b: Tensor, scaling: float) -> Tensor:
        """||W + s B A|| of each row, in float32."""
        mixed = b * product(base_layer, a).T
        own = b * (b @ (a @ a.T))
        squares = self.squares + (2 * scaling * mixed + scaling**2 * own).sum(1)
        return squares.clamp(min=0).sqrt()

    def forward(
        self,
        x: Tensor,
        *,
        base_layer: Any,
        scaling: float,
        base_result: Tensor | None = None,
        **factors: Any,
    ) -> Tensor:
        """What is to be added to the result of the base layer."""
        down, up = factors["lora_A"], factors["lora_B"]
        norms = self.norms(base_layer, down.weight.float(), up.weight.float(), scaling)
        size = (self.weight / norms).to(x.dtype)
        result = base_layer(x) if base_result is None else base_result
        if base_layer.bias is not None:
            result = result - base_layer.bias
        return (size - 1) * result + size * up(down(x)) * scaling
