"""P-tuning (Liu et al., 2021, arXiv:2103.10385)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ft.api import Field, Run
from ft_adapter_peft import PromptAdapter

if TYPE_CHECKING:
    from torch import nn


class PTuning(PromptAdapter):
    """P-tuning: a network makes the virtual tokens in front of each sequence out of embeddings.

    Both train, so that the tokens depend on each other; saved are the tokens alone.
    """

    method = "P_TUNING"
    paper = "arXiv:2103.10385"

    class Options(PromptAdapter.Options):
        encoder: Literal["mlp", "lstm"] = Field("mlp", description="the network")
        encoder_width: int | None = Field(
            None, gt=0, description="its inner width; unset: the model's"
        )
        encoder_layers: int = Field(2, gt=0, description="layers of the lstm; the mlp has three")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout inside the lstm")

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        options = self.options
        width = options.encoder_width or run.config.get_text_config().hidden_size
        return super().settings(run, model) | {
            "encoder_reparameterization_type": options.encoder.upper(),
            "encoder_hidden_size": width,
            "encoder_num_layers": options.encoder_layers,
            "encoder_dropout": options.dropout,
        }


adapter = PTuning()
