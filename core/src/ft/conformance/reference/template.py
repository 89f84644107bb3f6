"""The reference chat format: every turn between two control tokens, calls in JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ft.api import Message, Template, ToolCall, hookimpl

_THOUGHT = re.compile(r"<think>\n(.*?)\n</think>\n\n", re.S)
_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class Reference(Template):
    """Reasoning between ``<think>`` marks, calls between ``<tool_call>`` marks."""

    provides = Template.provides | {"tools", "reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        reasoning = None
        if match := _THOUGHT.match(text):
            reasoning, text = match[1], text[match.end() :]
        try:
            calls = [_read_call(match[1]) for match in _CALL.finditer(text)]
        except (ValueError, RecursionError):
            # not a call after all: what the model wrote is kept as text
            return Message("assistant", text, reasoning=reasoning)
        return Message("assistant", _CALL.sub("", text), tool_calls=calls, reasoning=reasoning)


def _read_call(text: str) -> ToolCall:
    """The call that a model wrote; raises ``ValueError`` where it is none."""
    call = json.loads(text)
    if not isinstance(call, dict) or call.keys() != {"name", "arguments"}:
        raise ValueError("not a name with arguments")
    name, arguments = call["name"], call["arguments"]
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ValueError("a name of another type, or arguments")
    return ToolCall(name, arguments)


template = Reference(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"), stop=("<|end|>",)
)
