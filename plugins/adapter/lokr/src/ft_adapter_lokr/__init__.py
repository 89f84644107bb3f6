"""LoKr (Yeh et al., 2023, arXiv:2309.14859)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, Run
from ft_adapter_peft import LayerOptions, PeftAdapter

if TYPE_CHECKING:
    from torch import nn


class LoKr(PeftAdapter):
    """LoKr: W + (alpha / rank) C kron (B A), a small matrix C times a low-rank one.

    Fewer parameters than LoRA for the same rank, and an update of a rank that is that of C
    times that of B A. ``factor`` says how large C is.
    """

    method = "LOKR"
    accepts = PeftAdapter.accepts - {"quantized-base"}  # the update has the weight's own shape
    paper = "arXiv:2309.14859"

    class Options(LayerOptions):
        rank: int = Field(8, gt=0, description="inner width of B A")
        alpha: float | None = Field(None, gt=0, description="scale; unset: the rank")
        factor: int = Field(
            -1, ge=-1, description="size of C, which divides the layer's; -1: about its square root"
        )
        decompose_both: bool = Field(False, description="make C low-rank as well")
        rank_dropout: float = Field(
            0.0, ge=0, lt=1, description="share of the update's rows that is left out of a step"
        )
        module_dropout: float = Field(
            0.0, ge=0, lt=1, description="how often a whole layer's update is left out of a step"
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "rank": "r",
            "alpha": "alpha",
            "factor": "decompose_factor",
            "decompose_both": "decompose_both",
            "rank_dropout": "rank_dropout",
            "module_dropout": "module_dropout",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        return super().settings(run, model) | {"alpha": self.options.alpha or self.options.rank}


adapter = LoKr()
