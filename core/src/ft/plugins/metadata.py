"""The two files of a dist-info folder that the index reads: METADATA and entry_points.txt.

The parsers of the standard library take several times as long, and give up on a damaged file
where the index wants to say what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass


class Damaged(Exception):
    """A metadata file that cannot be relied on; the message says why."""


@dataclass(frozen=True, slots=True)
class Headers:
    """The header fields of METADATA that matter here."""

    name: str
    version: str
    summary: str
    keywords: str
    requires_python: str
    requires: tuple[str, ...]


def parse_headers(data: bytes) -> Headers:
    """Read METADATA (or PKG-INFO). Raises :class:`Damaged`."""
    head, blank, _ = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    # every tool ends the last header with a newline: without one the file stops in mid-line
    if not blank and not head.endswith(b"\n"):
        raise Damaged("METADATA is cut off")
    try:
        text = head.decode()
    except UnicodeDecodeError:
        raise Damaged("METADATA is not UTF-8 text") from None
    single = {"name": "", "version": "", "summary": "", "keywords": "", "requires-python": ""}
    requires: list[str] = []
    key = ""
    for line in text.split("\n"):
        if line[:1] in " \t":
            if key in single:
                single[key] = f"{single[key]} {line.strip()}".strip()
            continue
        key, colon, value = line.partition(":")
        if not colon:
            break  # a body without the blank line before it, as some old tools wrote
        key = key.lower()
        if key == "requires-dist":
            requires.append(value.strip())
        elif key in single:
            single[key] = value.strip()
    for field in ("name", "version"):
        if not single[field]:
            raise Damaged(f"METADATA has no {field.title()}")
    return Headers(
        name=single["name"],
        version=single["version"],
        summary=single["summary"],
        keywords=single["keywords"],
        requires_python=single["requires-python"],
        requires=tuple(requires),
    )


def parse_entry_points(data: bytes) -> tuple[list[tuple[str, str, str]], str]:
    """The ``(group, name, value)`` of each entry point, and what is wrong with the file."""
    found: list[tuple[str, str, str]] = []
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return found, "entry_points.txt is not UTF-8 text"
    group = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if line[-1] != "]":
                return found, f"entry_points.txt is cut off at line {number}"
            group = line[1:-1].strip()
            continue
        name, equals, value = line.partition("=")
        if not equals or not group:
            return found, f"entry_points.txt line {number} is no entry point: {line[:40]!r}"
        found.append((group, name.strip(), value.strip()))
    return found, ""
