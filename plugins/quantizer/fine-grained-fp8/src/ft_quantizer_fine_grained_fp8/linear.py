"""The file format of blockwise float8, and a linear layer that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ft.api import InputError
from ft.api.packed import PackedLinear

KIND = torch.float8_e4m3fn
LARGEST = torch.finfo(KIND).max


class BlockLinear(PackedLinear):
    """W[o, i] = weight[o, i] * weight_scale_inv[o // rows, i // columns].

    ``weight`` float8 (out, in), kept as its bytes. ``weight_scale_inv``: one number for each block
    of ``rows`` x ``columns``, of which the last may be cut off; as uint8 it is the exponent of two
    plus 127. With ``(0, 0)`` there is one number for all of a weight.
    """

    main = "weight"
    weight_scale_inv: Tensor

    def __init__(
        self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor], block: tuple[int, int]
    ):
        tensors = {
            key: stored[key] for key in ("weight", "weight_scale_inv", "bias") if key in stored
        }
        super().__init__(linear, tensors)
        rows, columns = block if all(block) else (self.out_features, self.in_features)
        grid = (-(-self.out_features // rows), -(-self.in_features // columns))
        if self.weight.dtype != KIND or self.weight_scale_inv.numel() != grid[0] * grid[1]:
            raise InputError(
                f"{name}.weight is {self.weight.dtype} with "
                f"{tuple(self.weight_scale_inv.shape)} scales, and blocks of {rows} x {columns} "
                f"of e4m3 have {grid}",
                hint="use the config.json that was saved with these weights",
            )
        self.block, self.grid = (rows, columns), grid

    def settle(self) -> None:
        if self.weight.dtype == KIND:  # bytes, so that nobody takes it for a weight to compute with
            self.weight = nn.Parameter(self.weight.view(torch.uint8), requires_grad=False)

    def operands(self) -> tuple[Any, ...]:
        return self.weight.detach(), self.weight_scale_inv.detach(), self.block, self.grid

    @classmethod
    def unpacked(
        cls,
        kind: torch.dtype,
        weight: Tensor,
        scale: Tensor,
        block: tuple[int, int],
        grid: tuple[int, int],
    ) -> Tensor:
        out, width = weight.shape
        exponents = scale.dtype == torch.uint8
        scale = (scale.float() - 127).exp2() if exponents else scale.float()
        values = weight.view(KIND).float()
        down, right = grid[0] * block[0] - out, grid[1] * block[1] - width
        if down or right:
            values = functional.pad(values, (0, right, 0, down))
        blocks = values.view(grid[0], block[0], grid[1], block[1])
        blocks = blocks.mul_(scale.reshape(grid[0], 1, grid[1], 1))
        return blocks.reshape(grid[0] * block[0], -1)[:out, :width].to(kind)


def encoded(weight: Tensor, block: tuple[int, int]) -> dict[str, Tensor]:
    """The tensors of a layer whose ``weight`` (out, in) is rounded to the nearest."""
    out, width = weight.shape
    rows, columns = block
    padded = functional.pad(weight.detach().float(), (0, -width % columns, 0, -out % rows))
    blocks = padded.view(-(-out // rows), rows, -(-width // columns), columns)
    scale = blocks.abs().amax((1, 3)).clamp(min=1e-12) / LARGEST
    values = (blocks / scale[:, None, :, None]).to(KIND).view(padded.shape)
    return {"weight": values[:out, :width].contiguous(), "weight_scale_inv": scale}
