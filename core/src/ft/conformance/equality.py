"""How many of the kit's conversations a chat format writes as the published template does.

``python -m ft.conformance.equality [NAME]…`` prints it for the installed formats, and their sum.
A conversation is compared as a run uses it: one that ends with an answer in the form that is
trained on, any other as the prompt that asks for one. Those that the format has no place for, and
those that the published template refuses, do not count here; the kit checks them as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ft.api import Conversation, Template
from ft.conformance.conversations import VARIABLES, conversations, words_of
from ft.conformance.published import published, text_of
from ft.conformance.tiny import control_tokens
from ft.data.render import unmarked
from ft.plugins.load import import_plugin
from ft.plugins.policy import installed_index


class Case(NamedTuple):
    """A conversation, whether it is a prompt, and the text that is published."""

    conversation: Conversation
    prompt: bool
    text: str


class Equality(NamedTuple):
    """Of how many conversations the text equals that of a checkpoint's published template."""

    checkpoint: str
    exact: int
    total: int


def cases(template: Template, checkpoint: str) -> Iterator[Case]:
    """What a published template makes of the kit's conversations for this format.

    Where the published one writes a last answer otherwise than it asks for it, and the format
    therefore holds to its prompts alone, those are what is compared.
    """
    jinja = published(checkpoint)
    for conversation in conversations(control_tokens(template)):
        if not words_of(conversation) <= template.provides:
            continue
        prompt = conversation.messages[-1].role != "assistant"
        if not prompt and template.exact == "prompts":
            continue
        text = text_of(jinja, conversation, prompt, VARIABLES)
        if text is not None:
            yield Case(conversation, prompt, text)


def equality(template: Template) -> list[Equality]:
    """The counts of a format, one for each checkpoint that it names."""
    found = []
    for checkpoint in template.published:
        same = list(_same(template, checkpoint))
        found.append(Equality(checkpoint, sum(same), len(same)))
    return found


def format_of(checkpoint: str, formats: Mapping[str, Template]) -> str | None:
    """The first format that writes every conversation as a checkpoint's own template does.

    Raises :class:`ft.conformance.check.NotRun` where that is not to be found here.
    """
    text = published(checkpoint)
    for name, template in formats.items():
        # the kit has compared these, and the same text needs no second comparison
        if text in map(published, template.published) or all(_same(template, checkpoint)):
            return name
    return None


def _same(template: Template, checkpoint: str) -> Iterator[bool]:
    jinja = unmarked(template.jinja)
    for case in cases(template, checkpoint):
        yield text_of(jinja, case.conversation, case.prompt, VARIABLES) == case.text


def formats(names: Sequence[str] = ()) -> Mapping[str, Template]:
    """The installed formats that name a published template, or those of ``names``."""
    records = [r for r in installed_index().records if r.kind == "template" and r.state == "ok"]
    loaded: dict[str, Any] = {r.name: import_plugin(r) for r in records}
    return {n: t for n, t in sorted(loaded.items()) if t.published and n in (names or loaded)}


def main(names: Sequence[str]) -> None:
    """Print the counts of all formats, or of those that are named, and their sum."""
    exact = total = 0
    for name, template in formats(names).items():
        for one in equality(template):
            print(f"{name:24} {one.exact:>6,} of {one.total:>6,}  {one.checkpoint}", flush=True)
            exact, total = exact + one.exact, total + one.total
    print(f"{'all':24} {exact:>6,} of {total:>6,}")


if __name__ == "__main__":
    main(sys.argv[1:])
