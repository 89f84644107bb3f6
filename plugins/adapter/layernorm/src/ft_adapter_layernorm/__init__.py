"""LayerNorm tuning (Zhao et al., 2023, arXiv:2312.11420)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from ft.api import Field, InputError, Run
from ft_adapter_peft import PeftAdapter, SavedOptions

if TYPE_CHECKING:
    from torch import nn


class LayerNorm(PeftAdapter):
    """LayerNorm tuning: a copy of each normalization layer trains, and nothing else.

    A few ten thousand parameters: enough for a new style or form of answers, not for knowledge.
    It wants a learning rate of 1e-3 or more.
    """

    method = "LN_TUNING"
    paper = "arXiv:2312.11420"
    needs = frozenset()

    class Options(SavedOptions):
        modules_to_save: list[str] = Field(
            default_factory=list, description="modules trained and saved whole, such as lm_head"
        )

        saved_as: ClassVar[Mapping[str, str]] = {"modules_to_save": "modules_to_save"}

    def settings(self, run: Run, model: nn.Module) -> dict[str, object]:
        norms = [
            name
            for name, module in model.named_modules()
            if "norm" in type(module).__name__.lower()
            and any(p.is_floating_point() for p in module.parameters(recurse=False))
        ]
        if not norms:
            raise InputError("this model has no normalization layer with weights")
        return super().settings(run, model) | {"target_modules": norms}


adapter = LayerNorm()
