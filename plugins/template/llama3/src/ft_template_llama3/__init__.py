"""The chat formats of Llama 3 (Grattafiori et al., 2024, arXiv:2407.21783), as published.

``llama3`` is that of 3.0, ``llama3-1`` that of 3.1 and 3.3, ``llama3-2`` that of 3.2. The last
two take tools, and differ in the date that they state (``date_string`` sets it) and in the
built-in tools of 3.1. ``llama3-1-undated`` is that of 3.1 without dates, as some models that were
trained from it have it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ft.api import Message, Template, ToolCall, hookimpl

_BUILT_IN = re.compile(r"<\|python_tag\|>(\w+)\.call\((.*)\)", re.S)
_ARGUMENT = re.compile(r'(\w+)="(.*?)"(?:, (?=\w+=")|$)', re.S)


class WithTools(Template):
    """A format in which a turn is either text or one tool call."""

    provides = Template.provides | {"tools"}
    samples = (
        {},
        {"variables": {"tools_in_user_message": False}},
        {"variables": {"date_string": "1 Jan 2020", "builtin_tools": ["brave", "get_weather"]}},
    )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        call = _built_in_call(text) or _json_call(text)
        return Message("assistant", "" if call else text, tool_calls=[call] if call else [])


def _built_in_call(text: str) -> ToolCall | None:
    match = _BUILT_IN.fullmatch(text)
    return ToolCall(match[1], dict(_ARGUMENT.findall(match[2]))) if match else None


def _json_call(text: str) -> ToolCall | None:
    try:
        call: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(call, dict) and call.keys() == {"name", "parameters"}):
        return None
    name, arguments = call["name"], call["parameters"]
    if not (isinstance(name, str) and isinstance(arguments, dict)):
        return None
    return ToolCall(name, arguments)


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = Template(
    _read("chat.jinja"),
    stop=("<|eot_id|>",),
    published=("NousResearch/Meta-Llama-3-8B-Instruct",),
)
template_3_1 = WithTools(
    "{%- set dated = true %}\n" + _read("chat_3_1.jinja"),
    stop=("<|eot_id|>", "<|eom_id|>"),
    published=("meta-llama/Llama-3.1-8B-Instruct",),
)
template_3_1_undated = WithTools(
    "{%- set dated = false %}\n" + _read("chat_3_1.jinja"),
    stop=("<|eot_id|>", "<|eom_id|>"),
    published=("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF",),
)
template_3_2 = WithTools(
    _read("chat_3_2.jinja"),
    stop=("<|eot_id|>",),
    published=("meta-llama/Llama-3.2-3B-Instruct",),
)
