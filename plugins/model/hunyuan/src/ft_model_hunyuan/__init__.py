"""Hunyuan (Tencent, 2025): dense models from 0.5B to 7B, and a mixture of experts.

There are three chat formats: that of the smaller models, the same with the control tokens of the
7B base model, and that of the instruction models of 7B and A13B. Thoughts are text of an answer.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ft.api import (
    Checkpoint,
    Message,
    ModelFamily,
    Template,
    ToolCall,
    hookimpl,
    read_answer,
)

_CALL = re.compile(
    r"(?:<tool_calls>|\n)<tool_call>(\w[^\n]*\n```json\n\{.*?\})\n```</tool_call>"
    r"(?:(?=\n<tool_call>)|</tool_calls>\Z)",
    re.S,
)


class WithTools(Template):
    """A call is a function's name and a JSON object in a code block."""

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, _read_call)


def _read_call(text: str) -> ToolCall:
    name, _, arguments = text.partition("\n```json\n")
    found = json.loads(arguments)
    if not isinstance(found, dict):
        raise ValueError("not an object of arguments")
    return ToolCall(name, found)


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = WithTools(
    "{%- set large = false %}\n" + _read("chat.jinja"),
    stop=("<｜hy_place▁holder▁no▁2｜>",),  # noqa: RUF001
    published=("tencent/Hunyuan-0.5B-Pretrain",),
)
template_7b = WithTools(
    "{%- set large = true %}\n" + _read("chat.jinja"),
    stop=("<|eos|>",),
    published=("tencent/Hunyuan-7B-Pretrain",),
)
a13b = Template(
    _read("chat_a13b.jinja"), stop=("<|eos|>",), published=("tencent/Hunyuan-A13B-Instruct",)
)

family = ModelFamily(
    title="Hunyuan",
    vendor="Tencent",
    model_types=("hunyuan_v1_dense", "hunyuan_v1_moe"),
    templates=("hunyuan", "hunyuan-7b", "hunyuan-a13b"),
    checkpoints=(
        Checkpoint("tencent/Hunyuan-0.5B-Pretrain", parameters="0.5B", base=True),
        Checkpoint("tencent/Hunyuan-1.8B-Pretrain", parameters="1.8B", base=True),
        Checkpoint("tencent/Hunyuan-4B-Pretrain", parameters="4B", base=True),
        Checkpoint("tencent/Hunyuan-7B-Pretrain", parameters="7B", base=True),
        Checkpoint("tencent/Hunyuan-0.5B-Instruct", parameters="0.5B"),
        Checkpoint("tencent/Hunyuan-1.8B-Instruct", parameters="1.8B"),
        Checkpoint("tencent/Hunyuan-4B-Instruct", parameters="4B"),
        Checkpoint("tencent/Hunyuan-7B-Instruct", parameters="7B"),
        Checkpoint("tencent/Hunyuan-A13B-Instruct", parameters="80B-A13B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"hunyuan_v1_moe": {"num_experts": 4, "moe_topk": 2}},
    accepts=("packing",),
)
