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
)

_CALLS = re.compile(r"<tool_calls>(<tool_call>.*?```</tool_call>)</tool_calls>\Z", re.S)
_CALL = re.compile(r"\n?<tool_call>(\w[^\n]*)\n```json\n(\{.*?\})\n```</tool_call>", re.S)


class WithTools(Template):
    """A call is a function's name and a JSON object in a code block."""

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        if not (match := _CALLS.search(text)):
            return Message("assistant", text)
        calls, at = [], 0
        while call := _CALL.match(match[1], at):
            try:
                arguments = json.loads(call[2])
            except (ValueError, RecursionError):
                break
            calls.append(ToolCall(call[1], arguments))
            at = call.end()
        if at != len(match[1]):
            return Message("assistant", text)
        return Message("assistant", text[: match.start()], tool_calls=calls)


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
