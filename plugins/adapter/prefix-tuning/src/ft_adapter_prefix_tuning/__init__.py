"""Prefix tuning (Li and Liang, 2021, arXiv:2101.00190)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Field, InputError, Run
from ft_adapter_peft import PromptAdapter

if TYPE_CHECKING:
    from torch import nn


class PrefixTuning(PromptAdapter):
    """Prefix tuning: keys and values of virtual tokens train, for each layer its own.

    They take the place of a cache of earlier tokens, so that activations cannot be recomputed.
    """

    method = "PREFIX_TUNING"
    paper = "arXiv:2101.00190"
    needs = frozenset({"decoder-layers"})
    conflicts = frozenset({"gradient-checkpointing"})
    shapes_tell_base = False  # keys and values may be narrower than the model

    class Options(PromptAdapter.Options):
        projection: bool = Field(
            False, description="make them by a network of two layers, which trains more steadily"
        )
        width: int | None = Field(
            None, gt=0, description="inner width of that network; unset: the model's"
        )

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        options, config = self.options, run.config.get_text_config()
        if not config.num_hidden_layers:
            raise InputError("this model has no layer that could attend to a prefix")
        width = options.width or config.hidden_size
        return super().settings(run, model) | {
            "prefix_projection": options.projection,
            "encoder_hidden_size": width if options.projection else None,
        }


adapter = PrefixTuning()
