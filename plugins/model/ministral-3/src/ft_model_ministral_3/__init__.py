"""Ministral 3 (Mistral AI, 2025): small models that see images; some of them reason.

The format puts a system text in front where there is none; that of the instruct models says their
name, and so each size has a template. The end token of the tokenizer ends an answer.
"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import (
    TINY,
    Checkpoint,
    Message,
    Template,
    ToolCall,
    TorchvisionFamily,
    hookimpl,
    read_answer,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_CALL = re.compile(r"\[TOOL_CALLS\](.*?\})(?=\[TOOL_CALLS\]|\Z)", re.S)
_THOUGHTS = re.compile(r"\[THINK\](.*?)\[/THINK\]", re.S)


class Instruct(Template):
    """A call is a name and a JSON object; texts and calls of an answer may stand together."""

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, _read_call)


class Reasoning(Instruct):
    """Thoughts stand in front of an answer, in earlier turns too."""

    provides = Instruct.provides | {"reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, _read_call, _THOUGHTS)


def _read_call(text: str) -> ToolCall:
    name, _, arguments = text.partition("[ARGS]")
    found = json.loads(arguments)
    if not name or not isinstance(found, dict):
        raise ValueError("not a name with arguments")
    return ToolCall(name, found)


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _instruct(size: str) -> Instruct:
    name = f"Ministral-3-{size}-Instruct-2512"
    text = _read("system_instruct.jinja") + _read("chat.jinja")
    return Instruct(f"{{%- set name = '{name}' %}}\n{text}", published=(f"mistralai/{name}",))


template_3b = _instruct("3B")
template_8b = _instruct("8B")
template_14b = _instruct("14B")
reasoning = Reasoning(
    _read("system_reasoning.jinja") + _read("chat.jinja"),
    published=("mistralai/Ministral-3-8B-Reasoning-2512",),
)


class Ministral3(TorchvisionFamily):
    """Sees an image at its own resolution, in patches that are merged."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        config.image_token_index = tokenizer.image_token_id
        if not find_spec("torchvision"):
            return tokenizer
        import transformers

        vision = config.vision_config
        return transformers.PixtralProcessor(
            image_processor=transformers.PixtralImageProcessorPil(
                patch_size=vision.patch_size, size={"longest_edge": vision.image_size}
            ),
            tokenizer=tokenizer,
            patch_size=vision.patch_size,
            spatial_merge_size=config.spatial_merge_size,
            chat_template=tokenizer.chat_template,
        )


family = Ministral3(
    title="Ministral 3",
    vendor="Mistral AI",
    model_types=("mistral3",),
    templates=("ministral-3-3b", "ministral-3-8b", "ministral-3-14b", "ministral-3-reasoning"),
    checkpoints=(
        Checkpoint("mistralai/Ministral-3-3B-Base-2512", parameters="3B", base=True),
        Checkpoint("mistralai/Ministral-3-8B-Base-2512", parameters="8B", base=True),
        Checkpoint("mistralai/Ministral-3-14B-Base-2512", parameters="14B", base=True),
        Checkpoint("mistralai/Ministral-3-3B-Instruct-2512-BF16", parameters="3B"),
        Checkpoint("mistralai/Ministral-3-8B-Instruct-2512-BF16", parameters="8B"),
        Checkpoint("mistralai/Ministral-3-14B-Instruct-2512-BF16", parameters="14B"),
        Checkpoint("mistralai/Ministral-3-3B-Reasoning-2512", parameters="3B"),
        Checkpoint("mistralai/Ministral-3-8B-Reasoning-2512", parameters="8B"),
        Checkpoint("mistralai/Ministral-3-14B-Reasoning-2512", parameters="14B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "mistral3": {
            "text_config": {"model_type": "ministral3", **TINY},
            "vision_config": {
                "model_type": "pixtral",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "head_dim": 16,
                "image_size": 64,
                "patch_size": 8,
            },
        },
    },
    media_tokens={
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    },
    padded_media=("pixel_values",),
    accepts=("packing",),
)
