"""The sizes of a model, as ``config.json`` has them."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class RefrainConfig(PretrainedConfig):
    """A vocabulary of 264 is the tokenizer's 262, up to the next multiple of 8."""

    model_type = "refrain"

    def __init__(
        self,
        vocab_size: int = 264,
        hidden_size: int = 256,
        intermediate_size: int = 1024,
        num_hidden_layers: int = 8,
        num_attention_heads: int = 4,
        max_position_embeddings: int = 2048,
        rotary_base: float = 10_000.0,
        norm_eps: float = 1e-6,
        initializer_range: float = 0.02,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.rotary_base = rotary_base
        self.norm_eps = norm_eps
        self.initializer_range = initializer_range
        super().__init__(**kwargs)
        self.tie_word_embeddings = tie_word_embeddings
