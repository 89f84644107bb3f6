"""The chat format of GPT-OSS, called Harmony."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ft.api import KnownFailure, Message, Template, ToolCall, hookimpl

_BEGIN = "<|end|><|start|>assistant"
_PART = re.compile(
    r"(?: to=functions\.(?P<name>[^<\s]+))?<\|channel\|>(?P<channel>analysis|commentary|final)"
    r"(?: json)?<\|message\|>(?P<text>.*)",
    re.S,
)


class Harmony(Template):
    """Thoughts, calls and texts in channels: analysis, commentary and final.

    A last answer ends with ``<|return|>``. Earlier ones end with ``<|end|>``, as thoughts do, where
    an engine must not stop; so train on the last answers alone (``train_on: last``). The browser
    and Python, which the published text has as tools of its own, are not here. A turn has one call
    and no text beside it.
    """

    provides = Template.provides | {"tools", "reasoning"}
    samples = ({}, {"variables": {"reasoning_effort": "high"}})
    known_failures = (
        KnownFailure(
            "template.stop-strings",
            "earlier answers end with <|end|>, where no engine may stop: thoughts end so, too",
            "https://github.com/openai/harmony/blob/main/docs/format.md",
        ),
    )

    def __init__(self) -> None:
        super().__init__(
            (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
            stop=("<|return|>", "<|call|>"),
            published=("openai/gpt-oss-120b",),
            # the published text leaves calls out after the first
            exact="prompts",
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        found = [_PART.fullmatch(part) for part in text.split(_BEGIN)]
        *thoughts, last = found
        if len(thoughts) > 1 or last is None or not all(t and _is_thought(t) for t in thoughts):
            return Message("assistant", text)
        reasoning = thoughts[0]["text"] or None if thoughts and thoughts[0] else None
        if last["name"]:
            call = _call(last["name"], last["text"])
            return (
                Message("assistant", tool_calls=[call], reasoning=reasoning)
                if call
                else (Message("assistant", text))
            )
        if _is_thought(last) and not thoughts:  # it stopped before it answered
            return Message("assistant", reasoning=last["text"] or None)
        return Message("assistant", last["text"], reasoning=reasoning)


def _is_thought(part: re.Match[str]) -> bool:
    return part["channel"] == "analysis" and part["name"] is None


def _call(name: str, text: str) -> ToolCall | None:
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return ToolCall(name, arguments) if isinstance(arguments, dict) else None
