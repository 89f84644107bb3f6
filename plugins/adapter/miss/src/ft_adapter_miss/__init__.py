"""MiSS (Kang and Yin, 2024, arXiv:2409.15371)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ft.api import Capabilities, Field, Run
from ft_adapter_peft import LayerOptions, PeftAdapter, require_divides

if TYPE_CHECKING:
    from torch import nn


class Miss(PeftAdapter):
    """MiSS: W + E D, where E repeats the rows of one trained matrix D (rank x out) over the inputs.

    D starts at zero. A forward pass sums the inputs in groups and multiplies once, so that it is
    faster than LoRA and trains half as many parameters at the same rank. Formerly Bone.
    """

    method = "MISS"
    paper = "arXiv:2409.15371"
    samples = ({}, {"variant": "bat", "rank": 16})

    class Options(LayerOptions):
        rank: int = Field(64, gt=0, multiple_of=2, description="rows of D")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout before D")
        variant: Literal["miss", "bat", "mini"] = Field(
            "miss",
            description="miss; bat: the update also depends on the weight, which is slower and "
            "learns more; mini: D has fewer columns too",
        )
        columns: int = Field(
            16, gt=0, description="columns of D in the variant mini; divides each layer's outputs"
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "rank": "r",
            "dropout": "miss_dropout",
            "columns": "mini_r",
        }

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        # bat multiplies the weight itself
        needless = {"quantized-base"} if self.options.variant == "bat" else set()
        return replace(said, accepts=said.accepts - needless)

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found, options = super().settings(run, model), self.options
        targets = found["target_modules"]
        if options.variant == "bat":
            require_divides(model, targets, "rank", options.rank)
            require_divides(model, targets, "rank", options.rank, outputs=True)
        if options.variant == "mini":
            require_divides(model, targets, "columns", options.columns, outputs=True)
        return found | {"init_weights": True if options.variant == "miss" else options.variant}


adapter = Miss()
