"""BOFT (Liu et al., 2023, arXiv:2311.06243)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, InputError, Run
from ft_adapter_peft import PeftAdapter, require_divides

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

    class Options(PeftAdapter.Options):
        block_size: int = Field(
            4, gt=1, multiple_of=2, description="size of a block; divides each layer's inputs"
        )
        factors: int = Field(
            1,
            gt=0,
            description="butterfly factors; more than one needs the CUDA extension that PEFT "
            "compiles",
        )
        dropout: float = Field(
            0.0, ge=0, lt=1, description="share of the blocks that is left out of a step"
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **PeftAdapter.Options.saved_as,
            "block_size": "boft_block_size",
            "factors": "boft_n_butterfly_factor",
            "dropout": "boft_dropout",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        from peft.tuners.boft.layer import get_fbd_cuda

        found, factors = super().settings(run, model), self.options.factors
        if factors > 1 and not get_fbd_cuda():  # PEFT would go on with one
            raise InputError(
                f"adapter.factors is {factors}, and PEFT's CUDA extension for more than one cannot "
                "be compiled here",
                hint="use factors: 1, or a machine with a CUDA compiler (nvcc) and ninja",
            )
        whole = self.options.block_size * 2 ** (factors - 1)
        require_divides(model, found["target_modules"], "block_size", whole)
        return found


adapter = Boft()
