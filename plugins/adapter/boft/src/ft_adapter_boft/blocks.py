"""Block-diagonal matrices, made by torch.

PEFT compiles a CUDA extension for them when the first layer is made, and goes on with a single
factor where that fails, whatever the options say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class BlockDiagonals:
    """What the extension has: blocks (n, d, h, h) to matrices (n, d h, d h), and the way back."""

    @staticmethod
    def forward(blocks: Tensor) -> list[Tensor]:
        count, many, size, _ = blocks.shape
        whole = blocks.new_zeros(count, many, size, many, size)
        whole.diagonal(dim1=1, dim2=3).copy_(blocks.permute(0, 2, 3, 1))
        return [whole.view(count, many * size, many * size)]

    @staticmethod
    def backward(outer: Tensor, blocks: Tensor) -> list[Tensor]:
        count, many, size, _ = blocks.shape
        parts = outer.reshape(count, many, size, many, size).diagonal(dim1=1, dim2=3)
        return [parts.permute(0, 3, 1, 2).contiguous()]


def use_block_diagonals() -> None:
    """Have PEFT use these in place of an extension, unless it compiled one before."""
    from peft.tuners.boft import layer

    extension: Any = BlockDiagonals()
    if layer._FBD_CUDA is None:
        layer._FBD_CUDA = extension
