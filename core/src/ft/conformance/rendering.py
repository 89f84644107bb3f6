"""A template under test, called as a run calls it: on no model and without a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from ft.api import Conversation, InputError, Message, Rendered, Run, Template
from ft.conformance.conversations import ANSWERS, SYSTEM, VARIABLES, dialog, words_of
from ft.conformance.subject import Subject
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection


class Rendering:
    """The hooks of a bound template, and what a check has to know of it."""

    def __init__(self, subject: Subject):
        self.template: Template = subject.bind()
        self.run = Run(Selection([self.template], DEFAULTS), folder=Path(subject.folder))
        self.run.template_variables = dict(VARIABLES)
        self.words = frozenset(
            word
            for word in ("system-text", "tools", "reasoning")
            if subject.support(word) in ("full", "partial")
        )

    @property
    def variables(self) -> Mapping[str, Any]:
        """What Jinja gets beside the conversation."""
        return {**self.run.template_variables, **self.template.options.variables}

    @property
    def stops(self) -> list[str]:
        """The strings that may end a turn: the template's own, then the tokenizer's end token."""
        return [*self.template.stop, str(self.run.template_variables["eos_token"])]

    @property
    def has_empty_answers(self) -> bool:
        """Whether a turn without a word is rendered; some published templates refuse it."""
        return self.render_or_none(dialog("")) is not None

    def takes(self, conversation: Conversation) -> bool:
        """Whether the template says that it has a place for all of a conversation."""
        return words_of(conversation) <= self.words

    def dialogs(self) -> list[Conversation]:
        """Of one and of three turns, with system text where there is a place for it."""
        systems = (None, SYSTEM) if "system-text" in self.words else (None,)
        return [dialog(*ANSWERS[:n], system=s) for n, s in product((1, 3), systems)]

    def render(self, conversation: Conversation, prompt: bool = False) -> Rendered:
        return self.run.render(conversation, generation_prompt=prompt)

    def render_or_none(self, conversation: Conversation, prompt: bool = False) -> Rendered | None:
        """``None`` where the template refuses the conversation."""
        try:
            return self.render(conversation, prompt)
        except InputError:
            return None

    def prompt_before(self, conversation: Conversation, turn: int) -> str:
        """The text that asks for a turn of a conversation."""
        earlier = Conversation(messages=conversation.messages[:turn], tools=conversation.tools)
        return self.render(earlier, prompt=True).text

    def written(self, conversation: Conversation) -> str:
        """What the model writes in the last turn, without the string that ends it.

        It is what follows the generation prompt, up to what closes a plain answer too: the mask
        plays no part where the prompt is right.
        """
        rendered = self.render(conversation)
        prompt = self.prompt_before(conversation, len(conversation.messages) - 1)
        start = len(prompt)
        if not rendered.text.startswith(prompt):
            start = rendered.spans[-1][0] if rendered.spans else start
        text = rendered.text[start:]
        plain = self.render(dialog(ANSWERS[0])).text
        closing = plain[plain.find(ANSWERS[0]) + len(ANSWERS[0]) :]
        if text.endswith(closing):
            return text.removesuffix(closing)
        bare = text.rstrip()
        return bare.removesuffix(next((s for s in self.stops if s and bare.endswith(s)), ""))

    def parse(self, text: str, tools: Sequence[Mapping[str, Any]] = ()) -> Message:
        return self.run.parse_answer(text, tools)


def end_of_turn(text: str, end: int, stops: list[str]) -> int | None:
    """Where the string ends that closes a turn whose content ends at ``end``."""
    start = end + len(text[end:]) - len(text[end:].lstrip())
    found = [stop for stop in stops if stop and text.startswith(stop, start)]
    return start + len(max(found, key=len)) if found else None


def around(text: str, at: int) -> str:
    """The neighbourhood of a place in a text, which is marked, for a message."""
    return f"{text[max(at - 15, 0) : at]!r}|{text[at : at + 15]!r}"


def gist(message: Message) -> tuple[Any, ...]:
    """What of a message has to survive rendering and parsing."""
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    return message.role, message.content, message.reasoning or None, calls


def say(message: Message) -> str:
    """A parsed answer in a line, for a message."""
    parts = [f"content {message.content!r}"]
    parts += [f"reasoning {message.reasoning!r}"] if message.reasoning else []
    parts += [f"call {call.name}({call.arguments!r})" for call in message.tool_calls]
    return ", ".join(parts)
