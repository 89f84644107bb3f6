"""LoHa (Hyeon-Woo et al., 2021, arXiv:2108.06098; Yeh et al., 2023, arXiv:2309.14859)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, Run
from ft_adapter_peft import LayerOptions, PeftAdapter

if TYPE_CHECKING:
    from torch import nn


class LoHa(PeftAdapter):
    """LoHa: W + (alpha / rank) (B1 A1) * (B2 A2), with * entry by entry.

    With twice LoRA's parameters the update has a rank of up to rank squared. The update is a
    whole matrix for each layer in every forward pass, so that it takes more memory than LoRA.
    """

    method = "LOHA"
    accepts = PeftAdapter.accepts - {"quantized-base"}  # the update has the weight's own shape
    paper = "arXiv:2108.06098"

    class Options(LayerOptions):
        rank: int = Field(8, gt=0, description="inner width of both factors")
        alpha: float | None = Field(None, gt=0, description="scale; unset: the rank")
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
            "rank_dropout": "rank_dropout",
            "module_dropout": "module_dropout",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        return super().settings(run, model) | {"alpha": self.options.alpha or self.options.rank}


adapter = LoHa()
