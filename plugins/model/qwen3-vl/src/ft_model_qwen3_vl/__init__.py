"""Qwen3-VL (Bai et al., 2025, arXiv:2511.21631): dense and mixture-of-experts models that see.

Features of several layers of the vision tower are added to the first layers of the language
model. Positions have three axes, so that rows are not packed.
"""

from __future__ import annotations

import re
from pathlib import Path

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

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class Instruct(Template):
    """The format of the models that do not think; it may number images and videos."""

    provides = Template.provides | {"tools"}
    samples = ({}, {"variables": {"add_vision_id": True}})

    def __init__(self, kind: str, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set kind = '{kind}' %}}\n{text}", stop=("<|im_end|>",), published=(published,)
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call)


class Thinking(Instruct):
    """The format of the models that always think."""

    provides = Instruct.provides | {"reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        # the answer begins within its thoughts, which the prompt opens
        return read_answer(text, _CALL, json_call, _THOUGHTS)


template = Instruct("instruct", "Qwen/Qwen3-VL-8B-Instruct")
thinking = Thinking("thinking", "Qwen/Qwen3-VL-8B-Thinking")


class Qwen3VL(VideoFamily):
    """Patches of an image are merged, and frames of a video carry their time."""

    processor = "Qwen3VLProcessor"
    image_processor = "Qwen2VLImageProcessorPil"
    video_processor = "Qwen3VLVideoProcessor"


_TEXT = {
    **TINY,
    "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
}
_VISION = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "patch_size": 8,
    "num_position_embeddings": 64,
    "out_hidden_size": TINY["hidden_size"],
    "deepstack_visual_indexes": [0],
}

family = Qwen3VL(
    title="Qwen3-VL",
    vendor="Alibaba",
    model_types=("qwen3_vl", "qwen3_vl_moe"),
    templates=("qwen3-vl", "qwen3-vl-thinking"),
    checkpoints=(
        Checkpoint("Qwen/Qwen3-VL-2B-Instruct", parameters="2B"),
        Checkpoint("Qwen/Qwen3-VL-4B-Instruct", parameters="4B"),
        Checkpoint("Qwen/Qwen3-VL-8B-Instruct", parameters="8B"),
        Checkpoint("Qwen/Qwen3-VL-32B-Instruct", parameters="32B"),
        Checkpoint("Qwen/Qwen3-VL-30B-A3B-Instruct", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-VL-235B-A22B-Instruct", parameters="235B-A22B"),
        Checkpoint("Qwen/Qwen3-VL-2B-Thinking", parameters="2B"),
        Checkpoint("Qwen/Qwen3-VL-4B-Thinking", parameters="4B"),
        Checkpoint("Qwen/Qwen3-VL-8B-Thinking", parameters="8B"),
        Checkpoint("Qwen/Qwen3-VL-32B-Thinking", parameters="32B"),
        Checkpoint("Qwen/Qwen3-VL-30B-A3B-Thinking", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-VL-235B-A22B-Thinking", parameters="235B-A22B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen3_vl": {"text_config": _TEXT, "vision_config": _VISION},
        "qwen3_vl_moe": {
            "text_config": {
                **_TEXT,
                "moe_intermediate_size": 32,
                "num_experts": 4,
                "num_experts_per_tok": 2,
            },
            "vision_config": _VISION,
        },
    },
    media_tokens={
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    },
    accepts=("images",),
)
