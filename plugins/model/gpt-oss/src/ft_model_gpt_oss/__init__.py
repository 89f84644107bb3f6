"""GPT-OSS (OpenAI, 2025, arXiv:2508.10925): mixtures of experts with attention sinks.

Their published weights are in MXFP4. Answers stand in channels: thoughts, calls and the final text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Checkpoint, ModelFamily, hookimpl
from ft_model_gpt_oss.template import Harmony

if TYPE_CHECKING:
    from torch import nn


class GptOss(ModelFamily):
    """Keeps the documents of a packed sequence apart.

    The model makes its attention masks without the positions (transformers 5.23), by which
    documents are told apart; here they are made with them.
    """

    @hookimpl
    def ft_patch_model(self, model: nn.Module) -> None:
        decoder: Any = model.get_decoder()  # type: ignore[operator]
        decoder.register_forward_pre_hook(_make_masks, with_kwargs=True)


def _make_masks(
    decoder: Any, args: tuple[Any, ...], inputs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

    ids, positions = inputs.get("input_ids"), inputs.get("position_ids")
    cached = inputs.get("use_cache") or inputs.get("past_key_values") is not None
    if ids is None or positions is None or cached or inputs.get("attention_mask") is not None:
        return None  # no packed sequence
    embedded = decoder.embed_tokens(ids)
    settings = {
        "config": decoder.config,
        "inputs_embeds": embedded,
        "attention_mask": None,
        "past_key_values": None,
        "position_ids": positions,
    }
    masks = {
        "full_attention": create_causal_mask(**settings),
        "sliding_attention": create_sliding_window_causal_mask(**settings),
    }
    return args, {**inputs, "input_ids": None, "inputs_embeds": embedded, "attention_mask": masks}


template = Harmony()

family = GptOss(
    title="GPT-OSS",
    vendor="OpenAI",
    model_types=("gpt_oss",),
    templates="gpt-oss",
    checkpoints=(
        Checkpoint("openai/gpt-oss-20b", parameters="21B-A3.6B"),
        Checkpoint("openai/gpt-oss-120b", parameters="117B-A5.1B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 32}},
    accepts=("packing",),
)
