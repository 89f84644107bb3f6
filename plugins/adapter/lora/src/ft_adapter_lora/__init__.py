"""LoRA (Hu et al., 2021, arXiv:2106.09685)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from ft.api import Capabilities, Field, InputError, Run
from ft_adapter_peft import PeftAdapter

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn


class Lora(PeftAdapter):
    """LoRA: W + (alpha / rank) B A, with W frozen.

    A (rank x in) starts random and B (out x rank) at zero, so that the model starts
    unchanged. With ``rslora`` the factor is alpha / sqrt(rank) (Kalajdzievski, 2023,
    arXiv:2312.03732).
    """

    paper = "arXiv:2106.09685"

    class Options(PeftAdapter.Options):
        rank: int = Field(16, gt=0, description="inner width of the update")
        alpha: float | None = Field(None, gt=0, description="scale; unset: twice the rank")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout before A")
        rslora: bool = Field(False, description="scale by 1/sqrt(rank) rather than 1/rank")
        bias: Literal["none", "all", "lora_only"] = Field(
            "none", description="which biases of the base train as well"
        )
        layers: list[int] | None = Field(
            None, description="numbers of the decoder layers to adapt; unset: all"
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
            **PeftAdapter.Options.saved_as,
            "rank": "r",
            "alpha": "lora_alpha",
            "dropout": "lora_dropout",
            "rslora": "use_rslora",
            "bias": "bias",
            "rank_pattern": "rank_pattern",
            "alpha_pattern": "alpha_pattern",
        }

    def peft_config(self, run: Run, model: nn.Module) -> LoraConfig:
        from peft import LoraConfig

        options = self.options
        if options.experts and not run.family.fused_experts:
            raise InputError(
                f"adapter.experts: {run.family.title} declares no fused expert weights"
            )
        targets = self.targets(run, model)
        if options.layers is not None:
            targets = self._in_layers(model, targets)
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=options.rank,
            lora_alpha=options.alpha if options.alpha is not None else 2 * options.rank,
            lora_dropout=options.dropout,
            use_rslora=options.rslora,
            bias=options.bias,
            target_modules=targets,
            target_parameters=list(run.family.fused_experts) if options.experts else None,
            rank_pattern=options.rank_pattern,
            alpha_pattern=options.alpha_pattern,
            modules_to_save=options.modules_to_save or None,
        )

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if self.options.bias == "none":
            return said
        # biases that have moved stay so when the adapter is switched off
        return replace(said, provides=said.provides - {"switchable-adapter"})

    def _in_layers(self, model: nn.Module, targets: list[str] | str) -> list[str]:
        numbers = self.options.layers
        if isinstance(targets, str):
            raise InputError("adapter.layers goes with a list of targets, not with an expression")
        endings = tuple(f".{target}" for target in targets)
        # the first number of a name is that of the layer; an expert's comes later
        numbered = re.compile(r"\D*\.(\d+)\.")
        chosen = [
            name
            for name, _ in model.named_modules()
            if f".{name}".endswith(endings)
            and (match := numbered.match(name))
            and int(match[1]) in numbers
        ]
        if not chosen:
            raise InputError(f"adapter.layers {numbers}: this model has no such layers")
        return chosen


adapter = Lora()
