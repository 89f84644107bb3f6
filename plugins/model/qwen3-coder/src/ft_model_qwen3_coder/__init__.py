"""Qwen3-Coder (Qwen Team, 2025): models for code that call tools, with Qwen3's architecture.

Qwen3-Coder-Next is a plugin of its own, which builds on this one. They do not think.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ft.api import (
    Checkpoint,
    Message,
    ModelFamily,
    Template,
    hookimpl,
    read_answer,
    tagged_call,
)

_CALL = re.compile(r"\n{0,2}<tool_call>\n(<function=.*?)</function>\n</tool_call>", re.S)
_NAME = re.compile(r"<function=([^\n>]*)>\n")
_ARGUMENT = re.compile(r"<parameter=([^\n>]*)>\n(.*?)\n</parameter>\n", re.S)


class Qwen3CoderTemplate(Template):
    """ChatML with calls in tags: each argument is bare text, whose type the schema has.

    ``release`` is ``first`` or ``next``, of which the first writes some values as Python does.
    """

    provides = Template.provides | {"tools"}

    def __init__(self, release: str, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set release = '{release}' %}}\n{text}",
            stop=("<|im_end|>",),
            published=(published,),
        )

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(text, _CALL, lambda call: tagged_call(call, _NAME, _ARGUMENT, tools))


template = Qwen3CoderTemplate("first", "Qwen/Qwen3-Coder-30B-A3B-Instruct")

family = ModelFamily(
    title="Qwen3-Coder",
    vendor="Alibaba",
    model_types=("qwen3_moe",),
    templates="qwen3-coder",
    checkpoints=(
        Checkpoint("Qwen/Qwen3-Coder-30B-A3B-Instruct", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-Coder-480B-A35B-Instruct", parameters="480B-A35B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen3_moe": {
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "decoder_sparse_step": 1,
        }
    },
    accepts=("packing",),
)
