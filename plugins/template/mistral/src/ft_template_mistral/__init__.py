"""The formats of Mistral AI's text models: questions between ``[INST]`` and ``[/INST]``.

The end token of the tokenizer ends an answer. The older form has system text in front of the first
question. The younger ones move it to the question that waits for an answer, so that no answer in
the text follows from it: such conversations are refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ft.api import Message, Template, ToolCall, hookimpl

_CALLS = re.compile(r"\[TOOL_CALLS\] ?(\[.*\])", re.S)


class Mistral(Template):
    """An answer begins with a space, which belongs to the format."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


class Codestral(Mistral):
    """Its system text stands in a last question only."""

    provides = frozenset({"chat-template"})


class WithTools(Template):
    """A turn is text or a list of calls, each with an id of nine letters and digits."""

    provides = frozenset({"chat-template", "tools"})

    def __init__(self, space: str, *published: str):
        super().__init__(
            f"{{%- set space = '{space}' %}}\n{_read('chat_tools.jinja')}", published=published
        )
        self.space = space

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        if match := _CALLS.fullmatch(text):
            try:
                calls = [_call(call) for call in json.loads(match[1])]
            except (ValueError, RecursionError):
                calls = []
            if calls:
                return Message("assistant", tool_calls=calls)
        return Message("assistant", text.removeprefix(self.space))


def _call(call: Any) -> ToolCall:
    if not isinstance(call, dict) or call.keys() != {"name", "arguments", "id"}:
        raise ValueError("not a name with arguments and an id")
    name, arguments, id = call["name"], call["arguments"], call["id"]
    if not (isinstance(name, str) and isinstance(arguments, dict) and isinstance(id, str)):
        raise ValueError("a name of another type, or arguments, or an id")
    return ToolCall(name, arguments, id)


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = Mistral(
    "{%- set first = true %}\n" + _read("chat.jinja"),
    published=("mistralai/Mistral-7B-Instruct-v0.2", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
)
template_v3 = WithTools(" ", "mistralai/Mistral-7B-Instruct-v0.3")
nemo = WithTools("", "mistralai/Mistral-Nemo-Instruct-2407")
codestral = Codestral(
    "{%- set first = false %}\n" + _read("chat.jinja"), published=("mistralai/Codestral-22B-v0.1",)
)
