"""BOFT (Liu et al., 2023, arXiv:2311.06243)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, Run, hookimpl
from ft_adapter_boft.blocks import use_block_diagonals
from ft_adapter_peft import LayerOptions, PeftAdapter, require_divides

if TYPE_CHECKING:
    from torch import nn


class Boft(PeftAdapter):
    """BOFT: OFT with a rotation that is a product of block-diagonal ones, shuffled in between.

    Several factors let each input meet every other with small blocks. One factor is OFT with a
    scale for each output.
    """

    method = "BOFT"
    paper = "arXiv:2311.06243"
    accepts = PeftAdapter.accepts - {"quantized-base"}  # the weight itself is rotated

    class Options(LayerOptions):
        block_size: int = Field(
            4, gt=1, multiple_of=2, description="size of a block; divides each layer's inputs"
        )
        factors: int = Field(1, gt=0, description="butterfly factors: rotations one after another")
        dropout: float = Field(
            0.0, ge=0, lt=1, description="share of the blocks that is left out of a step"
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "block_size": "boft_block_size",
            "factors": "boft_n_butterfly_factor",
            "dropout": "boft_dropout",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found, options = super().settings(run, model), self.options
        whole = options.block_size * 2 ** (options.factors - 1)
        require_divides(model, found["target_modules"], "block_size", whole)
        return found

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        use_block_diagonals()
        return super().ft_adapt_model(run=run, model=model)

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        use_block_diagonals()
        return super().ft_restore_model(run=run, folder=folder)


adapter = Boft()
