"""Qwen2-VL (Wang et al., 2024, arXiv:2409.12191) and QVQ: images at their own resolution, videos.

The chat format is that of Qwen2.5-VL. Positions have three axes, so that rows are not packed.
"""

from __future__ import annotations

from ft.api import TINY, Checkpoint, VideoFamily


class Qwen2VL(VideoFamily):
    """Patches of an image are merged, and frames of a video in pairs."""

    processor = "Qwen2VLProcessor"
    image_processor = "Qwen2VLImageProcessorPil"
    video_processor = "Qwen2VLVideoProcessor"


family = Qwen2VL(
    title="Qwen2-VL",
    vendor="Alibaba",
    model_types=("qwen2_vl",),
    templates="qwen2-5-vl",
    checkpoints=(
        Checkpoint("Qwen/Qwen2-VL-2B", parameters="2B", base=True),
        Checkpoint("Qwen/Qwen2-VL-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen2-VL-72B", parameters="72B", base=True),
        Checkpoint("Qwen/Qwen2-VL-2B-Instruct", parameters="2B"),
        Checkpoint("Qwen/Qwen2-VL-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2-VL-72B-Instruct", parameters="72B"),
        Checkpoint("Qwen/QVQ-72B-Preview", parameters="72B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    tiny={
        "qwen2_vl": {
            "text_config": {
                **TINY,
                "bos_token_id": 0,
                "eos_token_id": 0,
                "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
            },
            "vision_config": {
                "depth": 1,
                "embed_dim": 32,
                "num_heads": 2,
                "patch_size": 8,
                "hidden_size": TINY["hidden_size"],
            },
        }
    },
    media_tokens={
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    },
    accepts=("images",),
)
