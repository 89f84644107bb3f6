"""SHA-256 digests of large files, computed once for each state of a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ft.plugins.health import cache_dir

LARGE = 2**24
"""Bytes from which on a digest is remembered; less is read in no time."""
SETTLED = 2.0
"""Seconds for which a file must have been left alone: a change within the clock's resolution
shows in none of its times."""

Memory = dict[str, tuple[list[int], str]]
"""Absolute path → the stamp of the file when it was read, and its digest."""


def digests(files: Sequence[Path]) -> list[str]:
    """The SHA-256 of each file.

    Those of large files are remembered in the cache folder under path, inode, size and times.
    What is not known is read by several threads at once.
    """
    memory, now = _read(), time.time()
    with ThreadPoolExecutor() as pool:  # hashing does not hold python's lock
        found = list(pool.map(lambda file: _digest_of(file, memory), files))
    new: Memory = {}
    for file, (stamp, digest) in zip(files, found, strict=True):
        status = file.stat()
        is_settled = now - max(status.st_mtime, status.st_ctime) > SETTLED
        if status.st_size >= LARGE and is_settled and stamp == _stamp(file):
            new[str(file.absolute())] = (stamp, digest)
    if any(memory.get(path) != entry for path, entry in new.items()):
        kept = {path: entry for path, entry in memory.items() if Path(path).exists()}
        _write(kept | new)
    return [digest for _, digest in found]


def _digest_of(file: Path, memory: Memory) -> tuple[list[int], str]:
    """The file's stamp from before it was read, and its digest."""
    stamp = _stamp(file)
    known = memory.get(str(file.absolute()))
    if known is not None and known[0] == stamp:
        return known
    with file.open("rb") as handle:
        return stamp, hashlib.file_digest(handle, "sha256").hexdigest()


def _stamp(file: Path) -> list[int]:
    """Changes when the file is written or replaced; nobody can set the time of its change."""
    status = file.stat()
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]


def _read() -> Memory:
    """What is remembered; a damaged file is as good as none."""
    try:
        text = (cache_dir() / "digests.json").read_text(encoding="utf-8")
        return {path: (stamp, digest) for path, (stamp, digest) in json.loads(text).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(memory: Memory) -> None:
    target = cache_dir() / "digests.json"
    draft = target.with_suffix(f".{os.getpid()}")
    # a cache that cannot be written costs time, and not the run
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(memory, indent=1), encoding="utf-8")
        draft.replace(target)
