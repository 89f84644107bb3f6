"""What a process imports of plugins, whoever imports it and whenever.

A denied plugin is not loaded; but another plugin could import its module. A finder that comes
before all others refuses those modules by name. Of what a lock has, it runs the source alone:
RECORD has no hash of byte code, which Python would otherwise prefer.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from ft.plugins.record import Record


def refuse(records: Sequence[Record]) -> None:
    """Refuse from now on the modules of what is denied among ``records``, and nothing else.

    That holds for distributions of which every plugin is denied: what lies in one that has a
    permitted plugin belongs together. In a package that several distributions share, only the
    denied one's part is refused.
    """
    usable = {record.distribution for record in records if record.state != "denied"}
    denied = [r for r in records if r.value and r.distribution not in usable]
    tops = {_module(record).partition(".")[0] for record in denied}
    needed: set[str] = set()
    for record in records:
        module = _module(record)
        # an entry point that names another distribution's module does not let it in
        if record.distribution in usable and module.partition(".")[0] in tops and _owns(record):
            needed.update(_prefixes(module))
    modules = {}
    for record in denied:
        name = next((name for name in _prefixes(_module(record)) if name not in needed), None)
        if name:
            modules[name] = (
                f"{record.id} of {record.distribution} is not permitted: {record.reason}"
            )
    restore({**state(), "refused": modules})


def source_alone(module: str) -> None:
    """Run the source of a module, and of all in its top-level package, and no byte code."""
    restore({**state(), "sealed": [*_GUARD.sealed, module.partition(".")[0]]})


def state() -> dict[str, Any]:
    """What holds in this process, as JSON can have it, for one that it starts."""
    return {"refused": _GUARD.refused, "sealed": sorted(_GUARD.sealed)}


def restore(state: Mapping[str, Any]) -> None:
    """Let hold what :func:`state` gave in another process."""
    _GUARD.refused, _GUARD.sealed = dict(state["refused"]), frozenset(state["sealed"])
    needed = bool(_GUARD.refused or _GUARD.sealed)
    if needed and _GUARD not in sys.meta_path:
        sys.meta_path.insert(0, _GUARD)
    elif not needed and _GUARD in sys.meta_path:
        sys.meta_path.remove(_GUARD)


def _module(record: Record) -> str:
    return record.value.partition(":")[0]


def _prefixes(module: str) -> list[str]:
    """``a``, ``a.b`` and ``a.b.c`` for ``a.b.c``."""
    parts = module.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _owns(record: Record) -> bool:
    """Whether a distribution's RECORD lists the module that its entry point names."""
    from ft.environment.record import read_record

    path = _module(record).replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py")
    try:
        return any(listed in files for listed, _ in read_record(Path(record.location)))
    except (OSError, UnicodeDecodeError):
        return False


class _Guard:
    """A finder of :data:`sys.meta_path`."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self.sealed: frozenset[str] = frozenset()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: object = None
    ) -> ModuleSpec | None:
        for name in _prefixes(fullname):
            if name in self.refused:
                raise ImportError(
                    f"{fullname} is imported at {_importer(sys._getframe(1))}, and "
                    f"{self.refused[name]}",
                    name=fullname,
                )
        if fullname.partition(".")[0] not in self.sealed:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _FromSource(spec.loader.name, spec.loader.path)
        return spec


class _FromSource(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _importer(frame: FrameType | None) -> str:
    """Who imports: the nearest frame that is not of the import system, as ``file:line``."""
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place"


_GUARD = _Guard()
