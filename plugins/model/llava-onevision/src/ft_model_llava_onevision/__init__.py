"""LLaVA-OneVision (Li et al., 2024, arXiv:2408.03326): one image in tiles, several, and videos.

A single image of a row is seen as a whole and in tiles; several are seen as a whole only. Of a
video 32 frames are taken, evenly spread, so that videos can share a batch; a shorter one is
refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Template, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"), stop=("<|im_end|>",)
)


class LlavaOnevision(VideoFamily):
    """Tiles are of one size; how many there are follows from the size of the image."""

    processor = "LlavaOnevisionProcessor"
    image_processor = "LlavaOnevisionImageProcessorPil"
    video_processor = "LlavaOnevisionVideoProcessor"
    frames = 32

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        side = config.vision_config.image_size
        return {
            "size": {"height": side, "width": side},
            "image_grid_pinpoints": config.image_grid_pinpoints,
            "do_sample_frames": True,
            "num_frames": 2,
        }

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        for name in ("image_token", "video_token"):
            setattr(config, f"{name}_index", getattr(config, f"{name}_id"))
        vision = config.vision_config
        return {
            "num_image_tokens": (vision.image_size // vision.patch_size) ** 2,
            "vision_feature_select_strategy": config.vision_feature_select_strategy,
            "vision_aspect_ratio": config.vision_aspect_ratio,
        }


family = LlavaOnevision(
    title="LLaVA-OneVision",
    vendor="LLaVA",
    model_types=("llava_onevision",),
    templates="llava-onevision",
    checkpoints=(
        Checkpoint("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", parameters="0.5B"),
        Checkpoint("llava-hf/llava-onevision-qwen2-7b-ov-hf", parameters="7B"),
        Checkpoint("llava-hf/llava-onevision-qwen2-72b-ov-hf", parameters="72B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "newline": "model.image_newline",
        "language": "model.language_model",
    },
    tiny={
        "llava_onevision": {
            "text_config": {"model_type": "qwen2", **TINY},
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "vision_use_head": False,
            },
            "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64], [32, 96]],
        }
    },
    media_tokens={"image_token": "<image>", "video_token": "<video>"},
    padded_media=("pixel_values",),
    accepts=("images", "packing"),
)
