"""MiniCPM3 (OpenBMB, 2024; Hu et al., 2024, arXiv:2404.06395): a small model that calls
functions.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, ToolCall, hookimpl

_CALLS = re.compile(r"<\|tool_call_start\|>\n```python\n(.*?)```\n<\|tool_call_end\|>\n", re.S)
_NAME = re.compile(r"([^\n(]+)\(")
_ARGUMENT = re.compile(r"([^\n=,]+)=")


class MiniCPM3Template(Template):
    """ChatML with tools as Python classes, and calls as Python with JSON values.

    A turn with calls has them in front of its text.
    """

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        if match := _CALLS.match(text):
            try:
                calls = _read_calls(match[1])
            except (ValueError, RecursionError):
                calls = []
            if calls:
                return Message("assistant", text[match.end() :], tool_calls=calls)
        return Message("assistant", text)


def _read_calls(text: str) -> list[ToolCall]:
    calls, at = [], 0
    while at < len(text):
        if not (name := _NAME.match(text, at)):
            raise ValueError("not a name with arguments")
        at, arguments = name.end(), {}
        while (key := _ARGUMENT.match(text, at)) and key[1] not in arguments:
            arguments[key[1]], at = json.JSONDecoder().raw_decode(text, key.end())
            at += text.startswith(",", at)
        if not text.startswith(")\n", at):
            raise ValueError("more than arguments")
        calls.append(ToolCall(name[1], arguments))
        at += 2
    return calls


template = MiniCPM3Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("openbmb/MiniCPM3-4B",),
)

family = ModelFamily(
    title="MiniCPM3",
    vendor="OpenBMB",
    model_types=("minicpm3",),
    templates="minicpm3",
    checkpoints=(Checkpoint("openbmb/MiniCPM3-4B", parameters="4B"),),
    tiny={
        "minicpm3": {
            "num_key_value_heads": 4,
            "kv_lora_rank": 16,
            "q_lora_rank": 32,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 16,
            "v_head_dim": 16,
            "dim_model_base": 64,
            "scale_emb": 1,
        }
    },
    accepts=("packing",),
)
