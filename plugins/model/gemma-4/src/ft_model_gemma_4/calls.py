"""The values that Gemma 4 writes in calls: like JSON, with bare keys and quotes of their own."""

from __future__ import annotations

import json
import re
from typing import Any

from ft.api import ToolCall

_QUOTE = '<|"|>'
_CALL = re.compile(r"call:([^{]+)(?=\{)")
_KEY = re.compile(r"([^:{}\[\],]+):")
_PLAIN = re.compile(r"[^,{}\[\]]+")


def read_call(text: str) -> ToolCall:
    """The call in ``call:name{key:value,…}``; raises ``ValueError`` where it is none."""
    match = _CALL.match(text)
    if not match:
        raise ValueError("no name")
    arguments, end = _read(text, match.end())
    if end != len(text) or not isinstance(arguments, dict):
        raise ValueError("not a name with arguments")
    return ToolCall(match[1], arguments)


def _read(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a place, and where it ends."""
    if text.startswith(_QUOTE, at):
        start = at + len(_QUOTE)
        end = text.index(_QUOTE, start)
        return text[start:end], end + len(_QUOTE)
    if text[at : at + 1] == "{":
        return _read_items(text, at, "}")
    if text[at : at + 1] == "[":
        return _read_items(text, at, "]")
    match = _PLAIN.match(text, at)
    if not match:
        raise ValueError(f"no value at {at}")
    return json.loads(match[0]), match.end()


def _read_items(text: str, at: int, closing: str) -> tuple[Any, int]:
    items: list[tuple[str, Any]] = []
    at += 1
    while not text.startswith(closing, at):
        if items:
            if text[at : at + 1] != ",":
                raise ValueError(f"no comma at {at}")
            at += 1
        key = ""
        if closing == "}":
            match = _KEY.match(text, at)
            if not match:
                raise ValueError(f"no key at {at}")
            key, at = match[1], match.end()
        value, at = _read(text, at)
        items.append((key, value))
    if closing == "}":
        return dict(items), at + 1
    return [value for _, value in items], at + 1
