"""The chat formats of GLM-4.5 (arXiv:2508.06471) and its successors up to 5.2 by Zhipu AI.

All have tools and thoughts, which ``enable_thinking: false`` switches off. Thoughts of earlier
turns are left out, from 4.7 on unless ``clear_thinking`` is false. ``glm-4-5`` is also
that of 4.6, ``glm-4-7`` that of 4.7 and 5, ``glm-5-1`` and ``glm-5-2`` those of 5.1 and 5.2.
``glm-4-5v`` and ``glm-4-6v`` have images and videos besides.

A turn has no end of its own: a model ends it by beginning the next one, with ``<|user|>`` or
``<|observation|>``. The last answer of a conversation is therefore trained with that token, which
the published texts leave out; the prompts are as published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ft.api import Message, Template, ToolCall, hookimpl, typed_argument

_THOUGHTS = re.compile(r"\n?(?:<think>)?(.*?)</think>\n?", re.S)
_ARGUMENT = r"<arg_key>(.*?)</arg_key>\n?<arg_value>(.*?)</arg_value>\n?"
_CALL = re.compile(
    rf"\n?<tool_call>([^<\n]+)\n?((?:{_ARGUMENT.replace('(', '(?:')})*)</tool_call>", re.S
)


class Glm(Template):
    """A format with thoughts, and with calls whose texts stand bare between tags."""

    provides = Template.provides | {"tools", "reasoning"}
    samples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"variables": {"enable_thinking": False, "clear_thinking": False}},
    )

    file = "chat.jinja"

    def __init__(self, kind: str, *published: str):
        text = (Path(__file__).parent / self.file).read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set kind = '{kind}' %}}\n{text}",
            stop=("<|user|>", "<|observation|>"),
            published=published,
            exact="prompts",
        )

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        reasoning = None
        # where the prompt opens the thoughts, the answer begins within them
        if match := _THOUGHTS.match(text):
            reasoning = match[1] or None
            text = text[match.end() :]
        else:
            text = text.removeprefix("\n")
        calls: list[ToolCall] = []

        def take(match: re.Match[str]) -> str:
            pairs = list(re.finditer(_ARGUMENT, match[2], re.S))
            read = {pair[1]: pair[2] for pair in pairs}
            if len(read) < len(pairs) or "".join(pair[0] for pair in pairs) != match[2]:
                return match[0]  # not a call after all: it stays in the text
            typed = {key: typed_argument(read[key], match[1], key, tools) for key in read}
            calls.append(ToolCall(match[1], typed))
            return ""

        text = _CALL.sub(take, text)
        return Message("assistant", text, tool_calls=calls, reasoning=reasoning)


class Seeing(Glm):
    """A format with images and videos, too."""

    file = "chat_vision.jinja"
    samples = ({}, {"variables": {"enable_thinking": False}})


template = Glm("4.5", "zai-org/GLM-4.5-Air")
v4_7 = Glm("4.7", "zai-org/GLM-4.7-Flash", "zai-org/GLM-5")
v5_1 = Glm("5.1", "zai-org/GLM-5.1")
v5_2 = Glm("5.2", "zai-org/GLM-5.2")
v4_5v = Seeing("4.5", "zai-org/GLM-4.5V")
v4_6v = Seeing("4.6", "zai-org/GLM-4.6V", "zai-org/GLM-4.6V-Flash", "zai-org/GLM-OCR")
