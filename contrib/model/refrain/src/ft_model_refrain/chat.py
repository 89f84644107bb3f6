"""The chat format: how turns become text, and how an answer is read back."""

from __future__ import annotations

import json
from pathlib import Path

from ft.api import Message, Template, ToolCall, hookimpl


class RefrainTemplate(Template):
    """Turns from ``<|turn|>`` to ``<|over|>``.

    In an answer, thoughts stand between ``<|think|>`` and ``<|say|>``, and each function call
    behind a ``<|call|>``, in JSON.
    """

    provides = Template.provides | {"tools", "reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        reasoning = None
        if text.startswith("<|think|>"):
            # a model that was cut off while it thought has said nothing
            reasoning, _, text = text.removeprefix("<|think|>").partition("<|say|>")
        content, *written = text.split("<|call|>")
        try:
            calls = [_read_call(call) for call in written]
        except (ValueError, RecursionError):
            # not a call after all: what the model wrote is kept as text
            return Message("assistant", text, reasoning=reasoning)
        return Message("assistant", content, tool_calls=calls, reasoning=reasoning)


def _read_call(text: str) -> ToolCall:
    call = json.loads(text)
    match call:
        case {"name": str(name), "arguments": dict(arguments), **more} if not more:
            return ToolCall(name, arguments)
    raise ValueError(f"no call of a function: {text}")


template = RefrainTemplate(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"), stop=("<|over|>",)
)
