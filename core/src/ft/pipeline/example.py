"""A short conversation as a chat format writes it, line by line, and what the model learns of it.

For pages and terminals: no checkpoint is needed. What a tokenizer would fill in stands there by
its name in Jinja, ``{{ bos_token }}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ft.api import Conversation, InputError, Message, Part, Rendered, Run, Template, ToolCall
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection

NEWLINE = "⏎"
"""Stands for a newline that the format writes; a line without it is broken for the mask alone."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_TOOL = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Finds a word.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}},
            "required": ["word"],
        },
    },
}
# some formats show a call's id, and ask for nine letters and digits
_CALL = ToolCall("find", {"word": "cat"}, id="a1B2c3D4e")


class Line(NamedTuple):
    """A line of rendered text, and whether the model learns to write it."""

    text: str
    trained: bool


def example(name: str, template: Template, images: bool = False) -> list[Line]:
    """Two turns with all that the format has a place for beside tools, with an image if asked to.

    Empty where the format refuses them.
    """
    words = template.bind(name).capabilities().provides
    question = "What is this?" if images else "What is a cat?"
    asked = [Part("image", source="cat.png"), Part("text", question)] if images else question
    thoughts = ["Cats are animals.", "Dogs are, too."] if "reasoning" in words else [None, None]
    messages = [
        Message("user", asked),
        Message("assistant", "A small animal.", reasoning=thoughts[0]),
        Message("user", "And a dog?"),
        Message("assistant", "Another one.", reasoning=thoughts[1]),
    ]
    if "system-text" in words:
        messages.insert(0, Message("system", "Be brief."))
    rendered = _rendered(name, template, Conversation(messages=messages))
    return list(_lines(rendered)) if rendered else []


def example_call(name: str, template: Template) -> list[Line]:
    """A call of a tool as the model learns to write it; empty where the format has none."""
    if "tools" not in template.bind(name).capabilities().provides:
        return []
    turns = [Message("user", "Find cat."), Message("assistant", "", tool_calls=[_CALL])]
    rendered = _rendered(name, template, Conversation(messages=turns, tools=[_TOOL]))
    if not rendered or not rendered.spans:
        return []
    start, end, _ = rendered.spans[-1]
    return list(_lines(Rendered(rendered.text[start:end], [(0, end - start, 1.0)])))


def _rendered(name: str, template: Template, conversation: Conversation) -> Rendered | None:
    run = Run(Selection([template.bind(name)], DEFAULTS), folder=Path())
    run.template_variables = {n: f"{{{{ {n} }}}}" for n in ("bos_token", "eos_token")}
    try:
        return run.render(conversation, generation_prompt=False)
    except InputError:
        return None


def _lines(rendered: Rendered) -> Iterator[Line]:
    text, spans = rendered.text, rendered.spans
    edges = sorted({0, len(text), *(edge for start, end, _ in spans for edge in (start, end))})
    for start, end in pairwise(edges):
        trained = any(a <= start < b for a, b, _ in spans)
        for line in _LINE.findall(text[start:end]):
            yield Line(line.replace("\n", NEWLINE), trained)
