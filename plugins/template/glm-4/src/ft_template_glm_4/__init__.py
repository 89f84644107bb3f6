"""The chat formats of GLM-4 (arXiv:2406.12793), GLM-Edge and GLM-Z1 by Zhipu AI.

A turn has no end of its own in these formats: a model ends its turn by beginning the next one, with
``<|user|>``. The last answer of a conversation is therefore trained with that token, which the
published texts leave out, and GLM-Z1's with its thoughts; the prompts are as published.

Results of tools have no place in the published texts, so these formats have no tools.
"""

from __future__ import annotations

import re
from pathlib import Path

from ft.api import Message, Template, hookimpl

_THOUGHTS = re.compile(r"\n?(?:<think>)?\n?(.*?)\n?</think>\n{0,2}", re.S)


class Open(Template):
    """A format in which the model ends its turn by beginning the next one."""

    def __init__(self, kind: str, *published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set kind = '{kind}' %}}\n{text}",
            stop=("<|user|>", "<|observation|>"),
            published=published,
            exact="prompts",
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix("\n"))


class Thinking(Open):
    """GLM-Z1's format, in which the prompt opens the thoughts of an answer."""

    provides = Open.provides | {"reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        match = _THOUGHTS.match(text)
        if match is None:
            return Message("assistant", text)
        return Message("assistant", text[match.end() :], reasoning=match[1] or None)


chat = Open("chat", "zai-org/glm-4-9b-chat", "zai-org/glm-4-9b-chat-1m")
template = Open("0414", "zai-org/GLM-4-9B-0414")
edge = Open("edge", "zai-org/glm-edge-4b-chat")
z1 = Thinking("z1", "zai-org/GLM-Z1-32B-0414")
