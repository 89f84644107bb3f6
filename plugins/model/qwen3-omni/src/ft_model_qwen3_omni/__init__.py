"""Qwen3-Omni (Xu et al., 2025, arXiv:2509.17765): the thinker, which hears, sees and writes.

A published checkpoint holds two models: the thinker, a mixture of experts that writes text, and the
talker, which speaks it. The thinker alone is loaded and trained, and a result holds it alone, its
weights under the names that they have in the whole checkpoint (``thinker.…``).

The published format writes empty thoughts in front of the last answer, also for the models that
never think; here each model is taught what it writes. Thoughts about an image or a clip, which
that format leaves out, are kept.

Positions have three axes, so that rows are not packed. The sound track of a video is not read:
give it as a clip of its own. A file of another sampling rate is resampled to 16 kHz. The encoder
cuts a clip into seconds and fills the last of them up; where no clip of a micro batch lasts a whole
second, it fills up to the longest, so that a shorter one is heard a little differently beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import (
    TINY,
    Checkpoint,
    Message,
    Template,
    VideoFamily,
    hookimpl,
    json_call,
    read_answer,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class Instruct(Template):
    """The format of the model that does not think."""

    provides = Template.provides | {"tools"}

    def __init__(self, kind: str, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set kind = '{kind}' %}}\n{text}",
            stop=("<|im_end|>",),
            published=(published,),
            exact="prompts",
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call)


class Thinking(Instruct):
    """The format of the models that think, unless they are told not to."""

    provides = Instruct.provides | {"reasoning"}
    samples = ({}, {"variables": {"enable_thinking": False}})

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call, _THOUGHTS)


template = Instruct("instruct", "Qwen/Qwen3-Omni-30B-A3B-Instruct")
thinking = Thinking("thinking", "Qwen/Qwen3-Omni-30B-A3B-Thinking")


class Qwen3Omni(VideoFamily):
    """Loads the thinker of a checkpoint, whichever of the two model types that has."""

    processor = "Qwen3OmniMoeProcessor"
    image_processor = "Qwen2VLImageProcessorPil"
    video_processor = "Qwen2VLVideoProcessor"

    def classes(self, model_type: str) -> tuple[type, type]:
        import transformers

        return (
            transformers.Qwen3OmniMoeThinkerConfig,
            transformers.Qwen3OmniMoeThinkerForConditionalGeneration,
        )

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        import transformers

        # so few samples make a piece of a hundred frames that short clips have whole ones
        ears = transformers.WhisperFeatureExtractor(
            feature_size=config.audio_config.num_mel_bins, hop_length=4, n_fft=64
        )
        return {"feature_extractor": ears}

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        config.vision_start_token_id = tokenizer.vision_bos_token_id
        config.audio_start_token_id = tokenizer.audio_bos_token_id
        return super().tiny_processor(config, tokenizer)


_TINY = {
    "text_config": {
        **TINY,
        "moe_intermediate_size": 32,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
    },
    "vision_config": {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 8,
        "num_position_embeddings": 64,
        "out_hidden_size": TINY["hidden_size"],
        "deepstack_visual_indexes": [0],
    },
    "audio_config": {
        "d_model": 32,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "num_mel_bins": 16,
        "downsample_hidden_size": 8,
        # else what is heard is lost beside the positions
        "initializer_range": 0.2,
        "output_dim": TINY["hidden_size"],
    },
}

family = Qwen3Omni(
    title="Qwen3-Omni",
    vendor="Alibaba",
    model_types=("qwen3_omni_moe", "qwen3_omni_moe_thinker"),
    templates=("qwen3-omni", "qwen3-omni-thinking"),
    checkpoints=(
        Checkpoint("Qwen/Qwen3-Omni-30B-A3B-Captioner", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-Omni-30B-A3B-Instruct", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-Omni-30B-A3B-Thinking", parameters="30B-A3B"),
    ),
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "audio": "model.audio_tower",
        "language": "model.language_model",
    },
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"qwen3_omni_moe": _TINY, "qwen3_omni_moe_thinker": _TINY},
    media_tokens={
        "image_token": "<|image_pad|>",
        "audio_token": "<|audio_pad|>",
        "video_token": "<|video_pad|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
        "audio_bos_token": "<|audio_start|>",
        "audio_eos_token": "<|audio_end|>",
    },
    # clips are padded to the longest of a row
    padded_media=("input_features", "feature_attention_mask"),
    accepts=("images", "audio"),
)
