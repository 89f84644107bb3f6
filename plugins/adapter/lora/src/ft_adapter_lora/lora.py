"""LoRA (Hu et al., 2021, arXiv:2106.09685)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ft.api import Capabilities, Field, InputError, Run
from ft_adapter_peft import LayerOptions, PeftAdapter

if TYPE_CHECKING:
    from torch import nn


class Lora(PeftAdapter):
    """LoRA: W + (alpha / rank) B A, with W frozen.

    A (rank x in) starts random and B (out x rank) at zero, so that the model starts
    unchanged. With ``rslora`` the factor is alpha / sqrt(rank) (Kalajdzievski, 2023,
    arXiv:2312.03732).
    """

    method = "LORA"
    paper = "arXiv:2106.09685"
    provides = PeftAdapter.provides | {"low-rank-factors"}

    class Options(LayerOptions):
        rank: int = Field(16, gt=0, description="inner width of the update")
        alpha: float | None = Field(None, gt=0, description="scale; unset: twice the rank")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout before A")
        rslora: bool = Field(False, description="scale by 1/sqrt(rank) rather than 1/rank")
        bias: Literal["none", "all", "lora_only"] = Field(
            "none", description="which biases of the base train as well"
        )
        rank_pattern: dict[str, int] = Field(
            default_factory=dict, description="another rank for layers by name pattern"
        )
        alpha_pattern: dict[str, float] = Field(
            default_factory=dict, description="another alpha for layers by name pattern"
        )
        experts: bool = Field(
            False, description="adapt expert weights that are fused in one tensor as well"
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "rank": "r",
            "alpha": "lora_alpha",
            "dropout": "lora_dropout",
            "rslora": "use_rslora",
            "bias": "bias",
            "rank_pattern": "rank_pattern",
            "alpha_pattern": "alpha_pattern",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found = super().settings(run, model)
        if self.options.alpha is None:
            found["lora_alpha"] = 2 * self.options.rank
        if self.options.experts:
            if not run.family.fused_experts:
                raise InputError(
                    f"adapter.experts: {run.family.title} declares no fused expert weights"
                )
            found["target_parameters"] = list(run.family.fused_experts)
        return found

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if self.options.bias == "none":
            return said
        # biases that have moved stay so when the adapter is switched off
        return replace(said, provides=said.provides - {"switchable-adapter"})
