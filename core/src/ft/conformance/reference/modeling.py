"""A small decoder of the usual kind, built from transformers' own parts.

Checks of adapters, optimizers and the like train it, so that their outcome depends on no
other plugin. It has what they may ask of a model: rotary positions that begin again with each
packed document, grouped key-value heads, a cache, recomputed activations, an output layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


class ReferenceConfig(PretrainedConfig):
    """Sizes of the reference model."""

    model_type = "ft-reference"

    def __init__(
        self,
        vocab_size: int = 512,
        hidden_size: int = 64,
        intermediate_size: int = 128,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 4,
        num_key_value_heads: int = 2,
        head_dim: int = 16,
        max_position_embeddings: int = 512,
        initializer_range: float = 0.02,
        tie_word_embeddings: bool = False,
        logit_cap: float | None = None,
        **kwargs: Any,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads
        self.head_dim = head_dim
        self.max_position_embeddings = max_position_embeddings
        self.initializer_range = initializer_range
        self.tie_word_embeddings = tie_word_embeddings
        self.logit_cap = logit_cap
        super().__init__(**kwargs)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    is_causal = True

    def __init__(self, config: ReferenceConfig, number: int):
        super().__init__()
        self.config, self.number = config, number
        self.num_key_value_groups = config.num_attention_heads // config.num_key_value_heads
        self.scaling = config.head_dim**-0.5
        inner = config.num_attention_heads * config.head_dim
        shared = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, inner, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, shared, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, shared, bias=False)
        self.o_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(
        self, hidden: Tensor, mask: Tensor | None, turns: Tensor, cache: Any, **kwargs: Any
    ) -> Tensor:
        shape = (*hidden.shape[:-1], -1, self.config.head_dim)
        query, key, value = (
            layer(hidden).view(shape).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, turns), rotate(key, turns)
        if cache is not None:
            key, value = cache.update(key, value, self.number)
        attend = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
        out, _ = attend(self, query, key, value, mask, scaling=self.scaling, **kwargs)
        return self.o_proj(out.reshape(*hidden.shape[:-1], -1))


def rotate(heads: Tensor, turns: Tensor) -> Tensor:
    """Turn ``heads`` (rows, heads, length, width) by ``turns`` (rows, length, width / 2)."""
    cos, sin = turns.cos()[:, None], turns.sin()[:, None]
    left, right = heads.float().chunk(2, -1)
    turned = torch.cat((left * cos - right * sin, right * cos + left * sin), -1)
    return turned.to(heads.dtype)


class Layer(GradientCheckpointingLayer):
    """Attention and a gated feed-forward part, each on normalized input."""

    def __init__(self, config: ReferenceConfig, number: int):
        super().__init__()
        self.attention = Attention(config, number)
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.attention_norm = nn.RMSNorm(config.hidden_size)
        self.feed_forward_norm = nn.RMSNorm(config.hidden_size)

    def forward(self, hidden: Tensor, **kwargs: Any) -> Tensor:
        hidden = hidden + self.attention(self.attention_norm(hidden), **kwargs)
        inner = self.feed_forward_norm(hidden)
        gated = nn.functional.silu(self.gate_proj(inner)) * self.up_proj(inner)
        return hidden + self.down_proj(gated)


class ReferenceModel(PreTrainedModel, GenerationMixin):
    """A causal language model."""

    config_class = ReferenceConfig
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["Layer"]
    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}

    def __init__(self, config: ReferenceConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, n) for n in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed_tokens

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        hidden = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = torch.arange(hidden.shape[1], device=hidden.device)[None] + seen
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=hidden,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        halves = torch.arange(self.config.head_dim // 2, device=hidden.device)
        frequencies = 10_000.0 ** (-2 * halves / self.config.head_dim)
        turns = position_ids[..., None].float() * frequencies
        for layer in self.layers:
            hidden = layer(hidden, mask=mask, turns=turns, cache=past_key_values)
        logits = self.lm_head(self.norm(hidden)[:, -logits_to_keep:])
        if (cap := self.config.logit_cap) is not None:
            logits = cap * torch.tanh(logits / cap)
        return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)
