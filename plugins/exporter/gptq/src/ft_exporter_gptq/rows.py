"""The texts to calibrate on."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

from ft.api import Conversation, InputError, Message, RowError, Run

FORMS = "a row has text, or messages of role and content"


def texts_of(run: Run, file: Path, count: int) -> list[str]:
    """The first ``count`` texts of a file; conversations as the model's template renders them."""
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the calibration rows cannot be read: {error}", where=str(file)) from None
    if file.suffix != ".jsonl":
        paragraphs = (part.strip() for part in re.split(r"\n\s*\n", content))
        return list(islice(filter(None, paragraphs), count))
    lines = ((n, line) for n, line in enumerate(content.splitlines(), 1) if line.strip())
    return [_text(run, line, f"{file}:{number}") for number, line in islice(lines, count)]


def _text(run: Run, line: str, place: str) -> str:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise InputError(f"no JSON: {error}", where=place) from None
    found = row if isinstance(row, dict) else {}
    if isinstance(found.get("text"), str):
        return str(found["text"])
    try:
        messages = [Message(turn["role"], turn["content"]) for turn in found["messages"]]
        return run.render(Conversation(messages)).text
    except (KeyError, TypeError, RowError) as error:
        raise InputError(f"this row cannot be rendered: {error}", where=place, hint=FORMS) from None
