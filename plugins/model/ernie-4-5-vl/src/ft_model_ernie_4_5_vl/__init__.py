"""ERNIE 4.5 VL (Baidu, 2025): experts of their own for text and for what is seen.

It thinks unless the template's variable ``enable_thinking`` is false. The chat format is published
with the placeholders of the original code, where transformers' processor wants those here.
The thinking model has another chat format, its own, which then counts. Positions have three axes,
so that rows are not packed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, KnownFailure, Message, Template, VideoFamily, hookimpl

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_THOUGHTS = re.compile(r"(?:<think>)?\n?(.*?)\n?</think>\n{0,2}", re.S)


class Ernie45VLTemplate(Template):
    """An answer begins within its thoughts, which the prompt opens."""

    provides = Template.provides | {"reasoning"}
    samples = ({}, {"variables": {"enable_thinking": False}})
    known_failures = (
        KnownFailure(
            "template.tokens",
            "an earlier answer follows a space, which a tokenizer may join with it",
            "https://huggingface.co/baidu/ERNIE-4.5-VL-28B-A3B-PT",
        ),
    )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        match = _THOUGHTS.match(text)
        if not match:
            return Message("assistant", text)
        return Message("assistant", text[match.end() :], reasoning=match[1] or None)


template = Ernie45VLTemplate(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|end_of_sentence|>",),
    exact="prompts",
)


class Ernie45VL(VideoFamily):
    """Patches of an image are merged, and frames of a video in pairs."""

    processor = "Ernie4_5_VLMoeProcessor"
    image_processor = "Ernie4_5_VLMoeImageProcessorPil"
    video_processor = "Ernie4_5_VLMoeVideoProcessor"

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        # the time of a frame is drawn onto it in a font that comes with a checkpoint
        return {**super().tiny_media(config), "draw_on_frames": False}


family = Ernie45VL(
    title="ERNIE 4.5 VL",
    vendor="Baidu",
    model_types=("ernie4_5_vl_moe",),
    templates="ernie-4-5-vl",
    checkpoints=(
        Checkpoint("baidu/ERNIE-4.5-VL-28B-A3B-Base-PT", parameters="28B-A3B", base=True),
        Checkpoint("baidu/ERNIE-4.5-VL-424B-A47B-Base-PT", parameters="424B-A47B", base=True),
        Checkpoint("baidu/ERNIE-4.5-VL-28B-A3B-PT", parameters="28B-A3B"),
        Checkpoint("baidu/ERNIE-4.5-VL-28B-A3B-Thinking", parameters="28B-A3B"),
        Checkpoint("baidu/ERNIE-4.5-VL-424B-A47B-PT", parameters="424B-A47B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.resampler_model",
        "language": "model.language_model",
    },
    fused_experts=(
        "mlp.text_moe.experts.gate_up_proj",
        "mlp.text_moe.experts.down_proj",
        "mlp.vision_moe.experts.gate_up_proj",
        "mlp.vision_moe.experts.down_proj",
    ),
    tiny={
        "ernie4_5_vl_moe": {
            "text_config": {
                **TINY,
                "moe_num_experts": 4,
                "moe_k": 2,
                "moe_intermediate_size": [32, 16],
                "moe_num_shared_experts": 1,
                "rope_parameters": {"rope_type": "default", "mrope_section": [3, 3, 2]},
            },
            "vision_config": {
                "depth": 1,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "patch_size": 8,
            },
        }
    },
    media_tokens={
        "image_token": "<|IMAGE_PLACEHOLDER|>",
        "image_start_token": "<|IMAGE_START|>",
        "image_end_token": "<|IMAGE_END|>",
        "video_token": "<|VIDEO_PLACEHOLDER|>",
        "video_start_token": "<|VIDEO_START|>",
        "video_end_token": "<|VIDEO_END|>",
    },
    accepts=("images",),
)
