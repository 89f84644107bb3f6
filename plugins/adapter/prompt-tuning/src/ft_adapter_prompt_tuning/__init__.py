"""Prompt tuning (Lester et al., 2021, arXiv:2104.08691)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Field, Run
from ft_adapter_peft import PromptAdapter

if TYPE_CHECKING:
    from torch import nn


class PromptTuning(PromptAdapter):
    """Prompt tuning: embeddings of virtual tokens in front of each sequence train.

    One small matrix for the whole model, for one task on a model that serves many. It comes near
    to other methods on models of billions of parameters, and wants a learning rate of 1e-2 or
    more.
    """

    method = "PROMPT_TUNING"
    paper = "arXiv:2104.08691"

    class Options(PromptAdapter.Options):
        text: str | None = Field(
            None,
            min_length=1,
            description="text whose embeddings the tokens start from, repeated or cut to their "
            "number; unset: at random",
        )

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found = super().settings(run, model)
        if self.options.text is None:
            return found
        return found | {
            "prompt_tuning_init": "TEXT",
            "prompt_tuning_init_text": self.options.text,
            "tokenizer_name_or_path": str(run.model_folder),
        }


adapter = PromptTuning()
