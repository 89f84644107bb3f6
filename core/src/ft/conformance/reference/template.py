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
            calls = [ToolCall(**json.loads(match[1])) for match in _CALL.finditer(text)]
        except (ValueError, TypeError):
            return Message("assistant", text, reasoning=reasoning)
        return Message("assistant", _CALL.sub("", text), tool_calls=calls, reasoning=reasoning)


template = Reference(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"), stop=("<|end|>",)
)
