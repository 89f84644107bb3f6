"""Refrain: a model family that transformers does not have.

Modelling code (``modeling``), tokenizer and chat format are the package's own; every method of
training is somebody else's plugin. ``python -m ft_model_refrain FOLDER`` writes what a first
model begins with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import ModelFamily
from ft_model_refrain.chat import template

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

    from ft_model_refrain.configuration import RefrainConfig
    from ft_model_refrain.modeling import RefrainForCausalLM

__all__ = ["family", "template"]


class RefrainFamily(ModelFamily):
    """Names its own classes, where core would ask transformers for some."""

    def classes(self, model_type: str) -> tuple[type[RefrainConfig], type[RefrainForCausalLM]]:
        from ft_model_refrain.configuration import RefrainConfig
        from ft_model_refrain.modeling import RefrainForCausalLM

        return RefrainConfig, RefrainForCausalLM

    def tiny_config(self, model_type: str) -> RefrainConfig:
        from ft_model_refrain.configuration import RefrainConfig

        return RefrainConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            max_position_embeddings=512,
        )

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> PreTrainedTokenizerFast:
        from ft_model_refrain.tokenizer import make_tokenizer

        return make_tokenizer(config.max_position_embeddings)


family = RefrainFamily(
    title="Refrain",
    vendor="the ft tutorial",
    model_types=("refrain",),
    templates="refrain",
    accepts=("packing",),
)
