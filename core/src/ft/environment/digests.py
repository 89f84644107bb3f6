"""The file beside a lock that says what each distribution's RECORD is to be.

A lock holds the hashes of wheels, and a wheel is gone once it is installed. So ``ft env sync``
notes what RECORD lists right after uv has checked a wheel's hash and unpacked it. The notes
are the same on every machine, and belong into review and version control beside the lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ft.environment.lock import Locked
from ft.errors import InputError

Origin = Literal["wheel", "found"]


@dataclass(frozen=True, slots=True)
class Digest:
    """What is noted of one distribution.

    ``record`` is :func:`ft.environment.record.record_digest`, ``hashes`` are the lock's of
    the files that it was installed from. ``origin`` is ``wheel`` where uv checked them when
    this was noted, and ``found`` where the distribution was there before.
    """

    version: str
    record: str
    hashes: tuple[str, ...] = ()
    origin: Origin = "found"

    def stands_for(self, entry: Locked) -> bool:
        """Whether it was noted of the files that the lock names today."""
        return (self.version, self.hashes) == (entry.version, entry.hashes)


def digests_file(lock: Path) -> Path:
    """``pylock.files.json`` for ``pylock.toml``."""
    return lock.with_suffix(".files.json")


def read_digests(lock: Path) -> dict[str, Digest]:
    """What is noted beside a lock, by distribution; nothing where there is no such file.

    Raises :class:`ft.errors.InputError` for a file of another form.
    """
    file = digests_file(lock)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return {
            name: Digest(
                str(entry["version"]),
                str(entry["record"]),
                tuple(map(str, entry.get("hashes", ()))),
                "wheel" if entry.get("origin") == "wheel" else "found",
            )
            for name, entry in data.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"is not what ft env sync writes: {type(error).__name__}: {error}",
            where=str(file),
            hint='take it from version control, or delete it and run "ft env sync"',
        ) from error


def write_digests(lock: Path, digests: Mapping[str, Digest]) -> None:
    """Write what :func:`read_digests` reads, one distribution after another by name."""
    data = {
        name: {
            "version": digest.version,
            "record": digest.record,
            "hashes": list(digest.hashes),
            "origin": digest.origin,
        }
        for name, digest in sorted(digests.items())
    }
    file = digests_file(lock)
    new = file.with_name(f".{file.name}.new")
    new.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    new.replace(file)
