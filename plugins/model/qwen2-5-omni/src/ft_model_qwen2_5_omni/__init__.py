"""Qwen2.5-Omni (Xu et al., 2025, arXiv:2503.20215): the thinker, which hears, sees and writes.

A published checkpoint holds two models: the thinker, which writes text, and the talker, which
speaks it. The thinker alone is loaded and trained, and a result holds it alone, its weights under
the names that they have in the whole checkpoint (``thinker.…``).

Positions have three axes, so that rows are not packed. The sound track of a video is not read:
give it as a clip of its own. A clip that is longer than the feature extractor of the checkpoint
takes, 300 seconds, is refused; a file of another sampling rate is resampled to 16 kHz.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Template, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Numbered(Template):
    """The format may number images and videos, and clips, of a conversation."""

    samples = ({}, {"variables": {"add_vision_id": True, "add_audio_id": True}})


template = Numbered(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("Qwen/Qwen2.5-Omni-7B",),
)


class Qwen25Omni(VideoFamily):
    """Loads the thinker of a checkpoint, whichever of the two model types that has."""

    processor = "Qwen2_5OmniProcessor"
    image_processor = "Qwen2VLImageProcessorPil"
    video_processor = "Qwen2VLVideoProcessor"

    def classes(self, model_type: str) -> tuple[type, type]:
        import transformers

        return (
            transformers.Qwen2_5OmniThinkerConfig,
            transformers.Qwen2_5OmniThinkerForConditionalGeneration,
        )

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        import transformers

        ears = transformers.WhisperFeatureExtractor(
            feature_size=config.audio_config.num_mel_bins, chunk_length=1, hop_length=40, n_fft=160
        )
        return {"feature_extractor": ears}

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        config.vision_start_token_id = tokenizer.vision_bos_token_id
        config.audio_start_token_id = tokenizer.audio_bos_token_id
        config.audio_end_token_id = tokenizer.audio_eos_token_id
        return super().tiny_processor(config, tokenizer)


_TINY = {
    "text_config": {
        **TINY,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
    },
    "vision_config": {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 8,
        "window_size": 32,
        "out_hidden_size": TINY["hidden_size"],
        "fullatt_block_indexes": [1],
    },
    "audio_config": {
        "d_model": 32,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "num_mel_bins": 16,
        "n_window": 10,
        "max_source_positions": 200,
        "output_dim": TINY["hidden_size"],
    },
}

family = Qwen25Omni(
    title="Qwen2.5-Omni",
    vendor="Alibaba",
    model_types=("qwen2_5_omni", "qwen2_5_omni_thinker"),
    templates="qwen2-5-omni",
    checkpoints=(
        Checkpoint("Qwen/Qwen2.5-Omni-3B", parameters="3B"),
        Checkpoint("Qwen/Qwen2.5-Omni-7B", parameters="7B"),
    ),
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "audio": "model.audio_tower",
        "audio-projector": "model.audio_tower.proj",
        "language": "model.language_model",
    },
    tiny={"qwen2_5_omni": _TINY, "qwen2_5_omni_thinker": _TINY},
    media_tokens={
        "image_token": "<|IMAGE|>",
        "audio_token": "<|AUDIO|>",
        "video_token": "<|VIDEO|>",
        "vision_bos_token": "<|vision_bos|>",
        "vision_eos_token": "<|vision_eos|>",
        "audio_bos_token": "<|audio_bos|>",
        "audio_eos_token": "<|audio_eos|>",
    },
    accepts=("images", "audio"),
)
