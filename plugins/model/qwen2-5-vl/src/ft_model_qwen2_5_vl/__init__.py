"""Qwen2.5-VL (Bai et al., 2025, arXiv:2502.13923): images and videos at their own resolution.

Positions have three axes (time, height, width), which the model works out for each row; packed
rows would need them for each document, so packing is not accepted.
"""

from __future__ import annotations

from pathlib import Path

from ft.api import TINY, Checkpoint, Template, VideoFamily


class Numbered(Template):
    """The format may number the images and videos of a conversation."""

    samples = ({}, {"variables": {"add_vision_id": True}})


template = Numbered(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("Qwen/Qwen2.5-VL-7B-Instruct",),
)


class Qwen25VL(VideoFamily):
    """Patches of an image are merged, and frames of a video in pairs."""

    processor = "Qwen2_5_VLProcessor"
    image_processor = "Qwen2VLImageProcessorPil"
    video_processor = "Qwen2VLVideoProcessor"


family = Qwen25VL(
    title="Qwen2.5-VL",
    vendor="Alibaba",
    model_types=("qwen2_5_vl",),
    templates="qwen2-5-vl",
    checkpoints=(
        Checkpoint("Qwen/Qwen2.5-VL-3B-Instruct", parameters="3B"),
        Checkpoint("Qwen/Qwen2.5-VL-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2.5-VL-32B-Instruct", parameters="32B"),
        Checkpoint("Qwen/Qwen2.5-VL-72B-Instruct", parameters="72B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    tiny={
        "qwen2_5_vl": {
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
