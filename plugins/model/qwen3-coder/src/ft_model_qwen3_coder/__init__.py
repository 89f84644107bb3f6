"""Qwen3-Coder (Qwen Team, 2025) and Qwen3-Coder-Next (2026): models for code that call tools.

The architectures are those of Qwen3 and Qwen3-Next. They do not think.
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
    """ChatML with calls in tags: each argument is bare text, whose type the schema has."""

    provides = Template.provides | {"tools"}

    def __init__(self, first: bool, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set first = {str(first).lower()} %}}\n{text}",
            stop=("<|im_end|>",),
            published=(published,),
        )

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(text, _CALL, lambda call: tagged_call(call, _NAME, _ARGUMENT, tools))


template = Qwen3CoderTemplate(True, "Qwen/Qwen3-Coder-30B-A3B-Instruct")
template_next = Qwen3CoderTemplate(False, "Qwen/Qwen3-Coder-Next")

family = ModelFamily(
    title="Qwen3-Coder",
    vendor="Alibaba",
    model_types=("qwen3_moe", "qwen3_next"),
    templates=("qwen3-coder", "qwen3-coder-next"),
    checkpoints=(
        Checkpoint("Qwen/Qwen3-Coder-Next-Base", parameters="80B-A3B", base=True),
        Checkpoint("Qwen/Qwen3-Coder-30B-A3B-Instruct", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-Coder-480B-A35B-Instruct", parameters="480B-A35B"),
        Checkpoint("Qwen/Qwen3-Coder-Next", parameters="80B-A3B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen3_moe": {
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "decoder_sparse_step": 1,
        },
        "qwen3_next": {
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "layer_types": ["linear_attention", "full_attention"],
        },
    },
)
