"""Failures to import a plugin, remembered until it is reinstalled or loads again.

Listing imports nothing, so it can only know of a failing import from an earlier attempt. The
memory is a small file in the user's cache folder; losing it loses nothing but that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ft.plugins.record import Record


def cache_dir() -> Path:
    """The folder for files of ft that may be deleted at any time (``FT_CACHE_DIR``)."""
    override = os.environ.get("FT_CACHE_DIR")
    if override:
        return Path(override)

    from platformdirs import user_cache_dir

    return Path(user_cache_dir("ft", appauthor=False))


def recall(records: Iterable[Record]) -> list[Record]:
    """The same records, with remembered failures as state ``broken``."""
    memory = _read()
    return [_with_failure(record, memory) for record in records]


def learn(outcomes: Iterable[tuple[Record, str]]) -> None:
    """Remember why each plugin failed to load; an empty reason forgets an earlier failure."""
    memory = _read()
    before = repr(memory)
    for record, reason in outcomes:
        entry = memory.get(record.location, {})
        stamp = stamp_of(record)
        failures = dict(entry.get("failures", {})) if entry.get("stamp") == stamp else {}
        failures.pop(record.id, None)
        if reason:
            failures[record.id] = reason
        memory[record.location] = {"stamp": stamp, "failures": failures}
    memory = {
        location: entry
        for location, entry in memory.items()
        if entry.get("failures") and Path(location).exists()
    }
    if repr(memory) == before:
        return
    import json

    target = cache_dir() / "plugins.json"
    draft = target.with_suffix(f".{os.getpid()}")
    # a cache that cannot be written costs the memory, not the command
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(memory, indent=1), encoding="utf-8")
        draft.replace(target)


def _with_failure(record: Record, memory: Mapping[str, Any]) -> Record:
    entry = memory.get(record.location)
    if record.state != "ok" or not entry or entry.get("stamp") != stamp_of(record):
        return record
    reason = entry["failures"].get(record.id)
    return replace(record, state="broken", reason=reason, remembered=True) if reason else record


def stamp_of(record: Record) -> str:
    """Changes when the distribution is installed again."""
    folder = Path(record.location)
    for file in (folder / "RECORD", folder):
        with contextlib.suppress(OSError):
            status = file.stat()
            return f"{record.distribution} {record.version} {status.st_mtime_ns} {status.st_size}"
    return ""


def _read() -> dict[str, dict[str, Any]]:
    try:
        text = (cache_dir() / "plugins.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    import json

    try:
        memory = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(memory, dict):
        return {}
    return {
        location: entry
        for location, entry in memory.items()
        if isinstance(entry, dict)
        and isinstance(entry.get("failures"), dict)
        and all(isinstance(reason, str) for reason in entry["failures"].values())
    }
