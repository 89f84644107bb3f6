"""The chat formats of DeepSeek's models, as published.

``deepseek`` is that of the LLM, Math and V2 models, ``deepseek-v2-0628`` that of V2-Chat-0628,
``deepseek-v2-5`` that of V2.5, ``deepseek-v3`` that of V3 and ``deepseek-v3-1`` that of V3.1, which
thinks where the variable ``thinking`` is true. ``deepseek-r1``, ``deepseek-r1-0528`` and
``deepseek-r1-distill`` write thoughts in the last answer of a conversation; the texts published
for these models leave them out, so only their prompts are the same.

None has tools: the published texts join a call's arguments to their text, which fails for an
object.
"""

from __future__ import annotations

import re
from pathlib import Path

from ft.api import Capabilities, Message, Template, hookimpl

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_STOP = "<｜end▁of▁sentence｜>"  # noqa: RUF001


class Spaced(Template):
    """A format in which a space stands before each answer."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


class Thinking(Template):
    """A format that has thoughts before the last answer."""

    provides = Template.provides | {"reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        # where the prompt opens the thoughts, the answer begins within them
        match = _THOUGHTS.match(text)
        if match is None:
            return Message("assistant", text)
        return Message("assistant", text[match.end() :], reasoning=match[1] or None)


class Switched(Thinking):
    """Thinks where it is told to: with the variable ``thinking: true``."""

    provides = Template.provides
    samples = ({}, {"variables": {"thinking": True}})

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(provides=["reasoning"]) if self.options.variables.get("thinking") else said

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        thoughts, closed, answer = text.partition("</think>")
        if not closed:
            return Message("assistant", text)
        return Message("assistant", answer, reasoning=thoughts.removeprefix("<think>") or None)


def _read(name: str, **settings: bool) -> str:
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    lines = [f"{{%- set {key} = {str(value).lower()} %}}\n" for key, value in settings.items()]
    return "".join([*lines, text])


template = Spaced(_read("chat.jinja"), published=("deepseek-ai/DeepSeek-V2-Lite-Chat",))
v2_0628 = Template(_read("chat_v2_0628.jinja"), published=("deepseek-ai/DeepSeek-V2-Chat-0628",))
v2_5 = Template(
    _read("chat_v3.jinja", every_system=False),
    stop=(_STOP,),
    published=("deepseek-ai/DeepSeek-V2.5",),
)
v3 = Template(
    _read("chat_v3.jinja", every_system=True), stop=(_STOP,), published=("unsloth/DeepSeek-V3",)
)
v3_1 = Switched(
    _read("chat_v3_1.jinja"),
    stop=(_STOP,),
    published=("tencent/DeepSeek-V3.1-Terminus-W4AFP8",),
    exact="prompts",
)
r1 = Thinking(
    _read("chat_r1.jinja", original=True),
    stop=(_STOP,),
    published=("microsoft/MAI-DS-R1",),
    exact="prompts",
)
r1_distill = Thinking(
    _read("chat_r1.jinja", original=False),
    stop=(_STOP,),
    published=("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "Skywork/Skywork-OR1-32B"),
    exact="prompts",
)
r1_0528 = Thinking(
    _read("chat_r1_0528.jinja"),
    stop=(_STOP,),
    published=("trl-internal-testing/tiny-DeepseekV3ForCausalLM-0528",),
    exact="prompts",
)
