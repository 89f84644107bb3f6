"""The architecture: a decoder in which every layer hears the token embeddings again.

In a plain decoder a late layer knows which token it stands at only from a residual stream that
all layers before it have written over. Here each layer begins with ``hidden + w * embeddings``,
where ``w`` has one learned weight for each channel: the song's refrain, sung again before each
verse. It costs ``hidden_size`` parameters a layer, needs no cache, and looks at one token alone,
so that documents in a packed row stay as far apart as attention keeps them.

Attention, its mask and the cache are transformers' own: what works for its models (packing,
recomputed activations, ``generate``, other attention functions) works for this one.

Shapes: B rows, L tokens, H heads of D channels, C = H * D channels in all, V tokens to choose
from.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ft_model_refrain.configuration import RefrainConfig


class Refrain(nn.Module):
    """Adds the token embeddings to the hidden states, each channel by a weight of its own."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        """All of shape (B, L, C)."""
        return hidden + self.weight * embeddings


def rotation(positions: Tensor, channels: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (Su et al., 2021, arXiv:2104.09864).

    ``positions`` (B, L) to two float32 tensors (B, 1, L, D); no buffer, so there is none that
    loading could forget.
    """
    steps = torch.arange(0, channels, 2, device=positions.device, dtype=torch.float32)
    angles = positions[:, None, :, None].float() * base ** (-steps / channels)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``states`` (B, H, L, D), turned by its tokens' positions."""
    first, second = states.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (states * cos + turned * sin).to(states.dtype)


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention as it is written in books, for ``attention: eager``; (B, L, H, D)."""
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    shares = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    return (shares @ value).transpose(1, 2), shares


class RefrainAttention(nn.Module):
    """Causal attention, by whichever function the configuration names."""

    is_causal = True

    def __init__(self, config: RefrainConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        size = config.hidden_size
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(size, size, bias=False) for _ in range(4)
        )

    def forward(
        self,
        hidden: Tensor,
        cos_sin: tuple[Tensor, Tensor],
        attention_mask: Tensor | None,
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        heads = (*hidden.shape[:2], -1, self.head_dim)
        query, key, value = (
            project(hidden).view(heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, *cos_sin), rotate(key, *cos_sin)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention
        )
        scaling = self.head_dim**-0.5
        mixed, _ = attend(self, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return self.o_proj(mixed.reshape(hidden.shape))


class RefrainMLP(nn.Module):
    """Two matrices with a squared ReLU between them."""

    def __init__(self, config: RefrainConfig):
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        return self.down_proj(functional.relu(self.up_proj(hidden)).square())


class RefrainLayer(GradientCheckpointingLayer):
    """Refrain, attention, MLP."""

    def __init__(self, config: RefrainConfig, layer_idx: int):
        super().__init__()
        self.refrain = Refrain(config.hidden_size)
        self.attention_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.attention = RefrainAttention(config, layer_idx)
        self.mlp_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = RefrainMLP(config)

    def forward(self, hidden: Tensor, embeddings: Tensor, **kwargs: Any) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        hidden = self.refrain(hidden, embeddings)
        hidden = hidden + self.attention(self.attention_norm(hidden), **kwargs)
        return hidden + self.mlp(self.mlp_norm(hidden))


class RefrainForCausalLM(PreTrainedModel, GenerationMixin):
    """Embeddings, layers, norm and output layer.

    ``embed_tokens`` and ``lm_head`` are the names under which transformers looks for them.
    """

    config_class = RefrainConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _no_split_modules = ["RefrainLayer"]
    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: RefrainConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            RefrainLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Refrain):
            # audible from the start; where a layer has no use for it, it learns zero
            init.constant_(module.weight, 0.1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Token ids (B, L), or embeddings (B, L, C), to logits (B, L, V).

        ``position_ids`` that start again within a row, without an ``attention_mask``, divide it
        into documents that do not see each other.
        """
        embeddings = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            length = embeddings.shape[1]
            position_ids = torch.arange(seen, seen + length, device=embeddings.device)[None]
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=embeddings,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        size = self.config.hidden_size // self.config.num_attention_heads
        cos_sin = rotation(position_ids, size, self.config.rotary_base)
        hidden = embeddings
        for layer in self.layers:
            hidden = layer(
                hidden,
                embeddings,
                cos_sin=cos_sin,
                attention_mask=mask,
                past_key_values=past_key_values,
                position_ids=position_ids,
                **kwargs,
            )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(self.norm(hidden[:, kept]))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)
