"""Prepared data in the user's cache folder: made once, by one process, then mapped by all.

Each data set has a folder there, named by the digest of its fingerprint. In it lie the chunks
that are done, ``key.json`` (the fingerprint) and, once nothing is missing, ``complete.json``.
What was stopped is gone on with; it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ft.data.store import Store, is_whole

COMPLETE, KEY, LOCK = "complete.json", "key.json", "lock"
POLL = 0.2
"""Seconds between two looks at what another process does."""
PATIENCE = 10.0
"""Seconds for which the processes beside a machine's first one leave the work to it."""


def folder_of(root: Path, key: Mapping[str, Any]) -> Path:
    """Where data with this fingerprint lies in a cache, or would lie."""
    text = json.dumps(key, sort_keys=True)
    return root / hashlib.sha256(text.encode()).hexdigest()[:32]


def chunk_file(folder: Path, number: int) -> Path:
    """The file of a chunk."""
    return folder / f"{number:06d}.safetensors"


def open_complete(folder: Path) -> Store | None:
    """The rows in a folder where no chunk is missing or cut off; ``None`` otherwise."""
    try:
        count = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))["chunks"]
    except (OSError, ValueError, KeyError):
        return None
    files = [chunk_file(folder, number) for number in range(count)]
    return Store(files) if all(map(is_whole, files)) else None


def write_key(folder: Path, key: Mapping[str, Any]) -> None:
    """Make the folder, with what it is named after."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KEY).write_text(json.dumps(key, indent=1, sort_keys=True), encoding="utf-8")


def write_complete(folder: Path, count: int) -> Store:
    """Say that ``count`` chunks are all, and open them."""
    draft = folder / f".{COMPLETE}"
    draft.write_text(json.dumps({"chunks": count}), encoding="utf-8")
    draft.replace(folder / COMPLETE)
    return Store([chunk_file(folder, number) for number in range(count)])


@contextmanager
def alone(folder: Path, *, first: bool, waiting: Callable[[], None]) -> Iterator[None]:
    """The body runs while no other process works in ``folder``.

    Processes of one run meet on the file system: a collective of theirs would time out while
    one of them works. All but the ``first`` of a machine let that one begin. ``waiting`` is
    called once where another process is at work. The system lets go of what a killed process
    held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + (0 if first else PATIENCE)
    told = False
    with (folder / LOCK).open("w") as handle:
        while not (folder / COMPLETE).exists() and time.monotonic() < deadline:
            time.sleep(POLL)
        while not _lock(handle):
            if not told:
                waiting()
                told = True
            time.sleep(POLL)
        yield


def _lock(handle: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # no such locks here: two processes may do the same work
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# -- housekeeping ----------------------------------------------------------------------------


def sizes(root: Path) -> dict[Path, int]:
    """The bytes of each folder of prepared data, the one used last at the end."""
    folders = [folder for folder in root.glob("*") if folder.is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime)
    return {f: sum(file.stat().st_size for file in f.glob("*")) for f in folders}


def remove(folder: Path) -> None:
    """Delete one folder."""
    shutil.rmtree(folder, ignore_errors=True)


def clear(root: Path) -> int:
    """Delete all prepared data; returns how many bytes that were."""
    freed = sum(sizes(root).values())
    shutil.rmtree(root, ignore_errors=True)
    return freed


def touch(folder: Path) -> None:
    """Note that the folder was used now."""
    with suppress(OSError):
        os.utime(folder)
