"""Qwen3.5 and its successors 3.6 and 3.8 (Qwen Team, 2026): they see, think and call tools.

Three layers of gated linear attention stand before one of full attention. The smallest models
think only when ``enable_thinking: true`` asks for it, the others unless it is false. Positions
have three axes, and the linear layers keep a state, so that rows are not packed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ft.api import (
    TINY,
    Checkpoint,
    Message,
    Template,
    VideoFamily,
    hookimpl,
    read_answer,
    tagged_call,
)

_THOUGHTS = re.compile(r"(?:<think>\n)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r"\n{0,2}<tool_call>\n(<function=.*?)</function>\n</tool_call>", re.S)
_NAME = re.compile(r"<function=([^\n>]*)>\n")
_ARGUMENT = re.compile(r"<parameter=([^\n>]*)>\n(.*?)\n</parameter>\n", re.S)


class Qwen35Template(Template):
    """Thoughts in ``<think>``, calls in tags, whose arguments are bare text."""

    provides = Template.provides | {"tools", "reasoning"}
    samples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"variables": {"enable_thinking": False, "add_vision_id": True}},
        {"variables": {"enable_thinking": True}},
    )

    medium, between = "<|vision_start|><|{}_pad|><|vision_end|>", ""

    def __init__(self, release: str, thinks: bool, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        image, video = self.medium.format("image"), self.medium.format("video")
        super().__init__(
            f"{{%- set release, thinks = {release}, {str(thinks).lower()} %}}\n"
            f"{{%- set image, video, between = '{image}', '{video}', '{self.between}' %}}\n{text}",
            stop=("<|im_end|>",),
            published=(published,),
        )

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(
            text, _CALL, lambda call: tagged_call(call, _NAME, _ARGUMENT, tools), _THOUGHTS
        )


class Keeping(Qwen35Template):
    """The format of 3.6, which keeps earlier thoughts where ``preserve_thinking`` is true."""

    samples = (*Qwen35Template.samples, {"variables": {"preserve_thinking": True}})


class Small(Qwen35Template):
    """The format of models that think only when ``enable_thinking: true`` asks for it.

    Their prompt closes the thoughts otherwise: data with thoughts needs that variable.
    """

    # without a variable it writes what it does where thoughts are switched off
    samples = Qwen35Template.samples[1:]


template = Qwen35Template("3.5", True, "Qwen/Qwen3.5-4B")
small = Small("3.5", False, "Qwen/Qwen3.5-0.8B")
v3_6 = Keeping("3.6", True, "Qwen/Qwen3.6-35B-A3B")


class Qwen35(VideoFamily):
    """Patches of an image are merged, and frames of a video carry their time."""

    processor = "Qwen3VLProcessor"
    image_processor = "Qwen2VLImageProcessorPil"
    video_processor = "Qwen3VLVideoProcessor"


_TEXT = {
    **TINY,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "layer_types": ["linear_attention", "full_attention"],
    "rope_parameters": {
        "rope_type": "default",
        "partial_rotary_factor": 0.5,
        "mrope_section": [2, 1, 1],
    },
}
_VISION = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "patch_size": 8,
    "num_position_embeddings": 64,
    "out_hidden_size": TINY["hidden_size"],
}

family = Qwen35(
    title="Qwen3.5",
    vendor="Alibaba",
    model_types=("qwen3_5", "qwen3_5_moe"),
    templates=("qwen3-5", "qwen3-5-small", "qwen3-6"),
    checkpoints=(
        Checkpoint("Qwen/Qwen3.5-0.8B-Base", parameters="0.8B", base=True),
        Checkpoint("Qwen/Qwen3.5-2B-Base", parameters="2B", base=True),
        Checkpoint("Qwen/Qwen3.5-4B-Base", parameters="4B", base=True),
        Checkpoint("Qwen/Qwen3.5-9B-Base", parameters="9B", base=True),
        Checkpoint("Qwen/Qwen3.5-35B-A3B-Base", parameters="35B-A3B", base=True),
        Checkpoint("Qwen/Qwen3.5-0.8B", parameters="0.8B"),
        Checkpoint("Qwen/Qwen3.5-2B", parameters="2B"),
        Checkpoint("Qwen/Qwen3.5-4B", parameters="4B"),
        Checkpoint("Qwen/Qwen3.5-9B", parameters="9B"),
        Checkpoint("Qwen/Qwen3.5-27B", parameters="27B"),
        Checkpoint("Qwen/Qwen3.5-35B-A3B", parameters="35B-A3B"),
        Checkpoint("Qwen/Qwen3.5-122B-A10B", parameters="122B-A10B"),
        Checkpoint("Qwen/Qwen3.5-397B-A17B", parameters="397B-A17B"),
        Checkpoint("Qwen/Qwen3.6-27B", parameters="27B"),
        Checkpoint("Qwen/Qwen3.6-35B-A3B", parameters="35B-A3B"),
        Checkpoint("Qwen/Qwen3.8-27B", parameters="27B"),
        Checkpoint("Qwen/Qwen3.8-2.4T-A95B", parameters="2.4T-A95B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen3_5": {"text_config": _TEXT, "vision_config": _VISION},
        "qwen3_5_moe": {
            "text_config": {
                **_TEXT,
                "moe_intermediate_size": 32,
                "shared_expert_intermediate_size": 32,
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
