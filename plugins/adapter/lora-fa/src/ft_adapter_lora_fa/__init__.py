"""LoRA-FA (Zhang et al., 2023, arXiv:2308.03303)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Run, hookimpl
from ft_adapter_lora import Lora
from ft_adapter_peft import seeded

if TYPE_CHECKING:
    from torch import nn


class LoraFa(Lora):
    """LoRA-FA: W + (alpha / rank) B A, where A is random and frozen, and B alone trains.

    Half of LoRA's parameters. What a layer keeps for the backward pass is A x, which has the
    width of the rank, in place of x. A follows from the run's seed.
    """

    paper = "arXiv:2308.03303"

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        with seeded(run):  # A is not in a checkpoint
            adapted = super().ft_adapt_model(run=run, model=model)
        _freeze(adapted)
        return adapted

    @hookimpl
    def ft_add_adapter(
        self, run: Run, model: nn.Module, name: str, folder: Path | None
    ) -> bool | None:
        done = super().ft_add_adapter(run=run, model=model, name=name, folder=folder)
        _freeze(model)
        return done


def _freeze(model: Any) -> None:
    for name, parameter in model.named_parameters():
        if ".lora_A." in name:
            parameter.requires_grad_(False)


adapter = LoraFa()
