"""What a plugin does beside its work: connections, files, output, state of the whole process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CONNECTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
_CHANGES = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "shutil.rmtree": (0,),
}
"""Audit event → which of its arguments are paths that change."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass
class Seen:
    """What was done under :func:`watch`: addresses, and paths outside of the allowed folders."""

    connections: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


class _Watch:
    def __init__(self, allowed: Sequence[Path]):
        self.seen = Seen()
        self.allowed = tuple(os.path.realpath(folder) for folder in allowed)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _CONNECTS:
            address = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
            # a path is a socket of this machine's, which processes speak to each other through
            if isinstance(address, (str, bytes)) and event == "socket.connect":
                return
            self.seen.connections.append(str(address))
            raise ConnectionRefusedError("the conformance kit lets no plugin reach the network")
        if event == "open":
            path, mode, flags = args
            writes = any(letter in (mode or "") for letter in "wax+") or (flags or 0) & _WRITES
            if writes:
                self._changes(path)
        elif event in _CHANGES:
            for position in _CHANGES[event]:
                self._changes(args[position])

    def _changes(self, path: Any) -> None:
        if isinstance(path, int):
            return
        real = os.path.realpath(os.fsdecode(path))
        inside = real.startswith(tuple(f"{folder}{os.sep}" for folder in self.allowed))
        if inside or real in self.allowed or "__pycache__" in real or real.startswith("/dev/"):
            return
        self.seen.written.append(real)


_active: list[_Watch] = []
_installed = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _active and (event == "open" or event in _CONNECTS or event in _CHANGES):
        _active[-1].hear(event, args)


@contextmanager
def watch(*allowed: Path) -> Iterator[Seen]:
    """Note connections, which are refused, and changes to files outside of ``allowed``.

    Python's own calls are seen (PEP 578); what a compiled library writes by itself is not.
    """
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    watching = _Watch(allowed)
    _active.append(watching)
    try:
        yield watching.seen
    finally:
        _active.remove(watching)
