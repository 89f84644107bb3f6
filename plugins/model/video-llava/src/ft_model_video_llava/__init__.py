"""Video-LLaVA (Lin et al., 2023, arXiv:2311.10122): two towers, for images and for videos.

One projector serves both. 8 frames of a video are taken, as in the model's own training, so that
videos can share a batch; a shorter one is refused. The chat format is that of LLaVA 1.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class VideoLlava(VideoFamily):
    """Cuts images and frames to the one size that its towers see."""

    processor = "VideoLlavaProcessor"
    image_processor = "VideoLlavaImageProcessor"
    video_processor = "VideoLlavaVideoProcessor"
    frames = 8

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        side = config.vision_config.image_size
        return {
            "size": {"shortest_edge": side},
            "crop_size": {"height": side, "width": side},
            "do_sample_frames": True,
            "num_frames": 2,
        }

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        return {
            "patch_size": config.vision_config.patch_size,
            "vision_feature_select_strategy": config.vision_feature_select_strategy,
            "num_additional_image_tokens": 1,
        }


family = VideoLlava(
    title="Video-LLaVA",
    vendor="PKU",
    model_types=("video_llava",),
    templates="llava-1-5",
    checkpoints=(Checkpoint("LanguageBind/Video-LLaVA-7B-hf", parameters="7B"),),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.image_tower",
        "video": "model.video_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "video_llava": {
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
        }
    },
    media_tokens={"image_token": "<image>", "video_token": "<video>"},
    accepts=("images", "packing"),
)
