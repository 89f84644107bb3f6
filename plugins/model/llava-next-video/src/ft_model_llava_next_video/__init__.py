"""LLaVA-NeXT-Video (Zhang et al., 2024): LLaVA-NeXT that was trained on videos as well.

Features of a frame are pooled to a quarter. 32 frames of a video are taken, as in the model's own
training, so that videos can share a batch; a shorter one is refused. The chat formats are those of
LLaVA 1.5 and of LLaVA-NeXT with Mistral and Yi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class LlavaNextVideo(VideoFamily):
    """Sees an image in small and its tiles, and frames of a video in small."""

    processor = "LlavaNextVideoProcessor"
    image_processor = "LlavaNextImageProcessorPil"
    video_processor = "LlavaNextVideoVideoProcessor"
    frames = 32

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        side = config.vision_config.image_size
        return {
            "size": {"shortest_edge": side},
            "crop_size": {"height": side, "width": side},
            "image_grid_pinpoints": config.image_grid_pinpoints,
            "do_sample_frames": True,
            "num_frames": 2,
        }

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        return {
            "patch_size": config.vision_config.patch_size,
            "vision_feature_select_strategy": config.vision_feature_select_strategy,
            "num_additional_image_tokens": 1,
        }


family = LlavaNextVideo(
    title="LLaVA-NeXT-Video",
    vendor="LLaVA",
    model_types=("llava_next_video",),
    templates=("llava-1-5", "llava-next-mistral", "llava-next-yi"),
    checkpoints=(
        Checkpoint("llava-hf/LLaVA-NeXT-Video-7B-hf", parameters="7B"),
        Checkpoint("llava-hf/LLaVA-NeXT-Video-7B-DPO-hf", parameters="7B"),
        Checkpoint("llava-hf/LLaVA-NeXT-Video-7B-32K-hf", parameters="7B"),
        Checkpoint("llava-hf/LLaVA-NeXT-Video-34B-hf", parameters="34B"),
        Checkpoint("llava-hf/LLaVA-NeXT-Video-34B-DPO-hf", parameters="34B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "newline": "model.image_newline",
        "language": "model.language_model",
    },
    tiny={
        "llava_next_video": {
            "text_config": {"model_type": "llama", **TINY},
            "vision_config": {
                "model_type": "clip_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
            },
            "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64], [32, 96]],
        }
    },
    media_tokens={"image_token": "<image>", "video_token": "<video>"},
    padded_media=("pixel_values",),
    accepts=("images", "packing"),
)
