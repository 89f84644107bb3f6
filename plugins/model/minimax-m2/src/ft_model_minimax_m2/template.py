"""The chat format of MiniMax-M2 and its successors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ft.api import Message, Template, ToolCall, hookimpl, typed_argument

_THOUGHTS = re.compile(r"(?:<think>\n)?(.*?)\n?</think>\n{0,2}", re.S)
_PARAMETER = r'<parameter name="([^"\n]*)">(.*?)</parameter>\n'
_INVOKE = rf"""<invoke name="([^"\n]*)">\n((?:{_PARAMETER.replace("(", "(?:")})*)</invoke>\n"""
_CALLS = re.compile(
    rf"\n?<minimax:tool_call>\n((?:{_INVOKE.replace('(?:', '(').replace('(', '(?:')})+)"
    r"</minimax:tool_call>",
    re.S,
)


class Thinking(Template):
    """Thoughts, which the prompt opens, and calls whose texts stand bare between tags.

    Where an answer has no thoughts the published text opens none, though its prompt does. So in
    the last answer of a conversation empty ones are closed; the prompts are as published.
    """

    provides = Template.provides | {"tools", "reasoning"}

    def __init__(self, identity: str, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set identity = '{identity}' %}}\n{text}",
            stop=("[e~[",),
            published=(published,),
            exact="prompts",
        )

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        reasoning = None
        if match := _THOUGHTS.match(text):
            reasoning = match[1] or None
            text = text[match.end() :]
        calls: list[ToolCall] = []

        def take(match: re.Match[str]) -> str:
            invoked = list(re.finditer(_INVOKE, match[1], re.S))
            read = [_call(one[1], one[2], tools) for one in invoked]
            if None in read or "".join(one[0] for one in invoked) != match[1]:
                return match[0]  # not a call after all: it stays in the text
            calls.extend(call for call in read if call is not None)
            return ""

        text = _CALLS.sub(take, text)
        return Message("assistant", text, tool_calls=calls, reasoning=reasoning)


def _call(name: str, written: str, tools: Sequence[Mapping[str, Any]]) -> ToolCall | None:
    """A call with its arguments in their types, or ``None`` where it holds anything else."""
    pairs = list(re.finditer(_PARAMETER, written, re.S))
    read = {pair[1]: pair[2] for pair in pairs}
    if len(read) < len(pairs) or "".join(pair[0] for pair in pairs) != written:
        return None
    return ToolCall(name, {key: typed_argument(read[key], name, key, tools) for key in read})
