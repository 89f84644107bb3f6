"""The levels that the conformance kit found plugins to have, for listings.

A small file in the user's cache folder; an entry counts until its distribution is installed
again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ft.plugins.health import cache_dir, stamp_of
from ft.plugins.record import Record


class Level(NamedTuple):
    """A level (``None`` below level 0), the version of the kit, and the day it was found."""

    level: int | None
    kit: str
    date: str

    def __str__(self) -> str:
        return "none" if self.level is None else f"L{self.level}"


def levels_of(records: Iterable[Record]) -> dict[str, Level]:
    """What is known of these plugins, by id."""
    memory = _read()
    found = {}
    for record in records:
        entry = memory.get(f"{record.location} {record.id}")
        if entry and entry.get("stamp") == stamp_of(record):
            with contextlib.suppress(KeyError, TypeError):
                found[record.id] = Level(entry["level"], entry["kit"], entry["date"])
    return found


def learn(found: Iterable[tuple[Record, Level]]) -> None:
    """Remember levels; a cache that cannot be written costs the memory alone."""
    memory = dict(_read())
    for record, level in found:
        entry = {"stamp": stamp_of(record), **level._asdict()}
        memory[f"{record.location} {record.id}"] = entry
    target = cache_dir() / "levels.json"
    draft = target.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(memory, indent=1), encoding="utf-8")
        draft.replace(target)


def _read() -> Mapping[str, Any]:
    try:
        memory = json.loads((cache_dir() / "levels.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {k: v for k, v in memory.items() if isinstance(v, dict)} if isinstance(memory, dict) else {}
    )
