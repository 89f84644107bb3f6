"""pylock.toml: the exact distributions of an environment, with hashes (PEP 751).

The file is the standard's; the table ``[tool.ft]`` adds which set it was made from.
https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft.errors import InputError
from ft.plugins.record import normalize

LOCK = "pylock.toml"
_SINGLE = ("sdist", "archive", "vcs", "directory")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file that an entry may be installed from; ``place`` is its URL or path.

    ``hashes`` maps algorithms to digests in hexadecimal. What has none cannot be checked.
    """

    place: str
    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Locked:
    """One distribution of a lock; ``where`` is its place as ``pylock.toml:12``."""

    name: str
    version: str
    artifacts: tuple[Artifact, ...]
    marker: str = ""
    where: str = ""

    @property
    def hashes(self) -> tuple[str, ...]:
        """``sha256:…`` of each file, in the order of the alphabet."""
        return tuple(
            sorted({f"{k}:{v}" for file in self.artifacts for k, v in file.hashes.items()})
        )

    @property
    def unhashed(self) -> tuple[str, ...]:
        """The files without a hash; the entry itself where it names no file."""
        bare = tuple(file.place for file in self.artifacts if not file.hashes)
        return bare if self.artifacts else (self.name,)

    def applies(self, python: str) -> bool:
        """Whether this machine, with this version of Python (``3.11.7``), needs it."""
        if not self.marker:
            return True

        from packaging.markers import Marker

        minor = ".".join(python.split(".")[:2])
        return Marker(self.marker).evaluate(
            {"python_version": minor, "python_full_version": python}
        )


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file.

    ``set`` is the name or the file of the set that it was made from, ``digest`` that of the
    set as it was then, and ``asked`` the names of its plugins, of the core and of the
    registry. They are empty where the file was made by other means.
    """

    file: Path
    packages: tuple[Locked, ...]
    set: str = ""
    digest: str = ""
    asked: frozenset[str] = frozenset()

    def applying(self, python: str) -> dict[str, Locked]:
        """What this machine needs, by name."""
        return {entry.name: entry for entry in self.packages if entry.applies(python)}


def read_lock(file: Path) -> Lock:
    """Read a lock. Raises :class:`ft.errors.InputError` with file and line.

    An entry without a hash is read, so that whoever asks can name it.
    """
    import tomllib

    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(
            "there is no such lock", where=str(file), hint='"ft env lock" makes one from a set'
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(file)) from error
    if str(data.get("lock-version", "")).partition(".")[0] != "1":
        raise InputError(
            "is not a lock of version 1 (PEP 751)", where=str(file), hint='run "ft env lock" again'
        )
    starts = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() == "[[packages]]"]
    entries = _of(data, "packages", list, str(file))
    places = [f"{file}:{line}" for line in starts] if len(starts) == len(entries) else None
    packages = tuple(
        _locked(entry, places[number] if places else str(file))
        for number, entry in enumerate(entries)
    )
    own = _of(_of(data, "tool", dict, str(file)), "ft", dict, str(file))
    return Lock(
        file=file,
        packages=packages,
        set=_of(own, "set", str, f"{file}: [tool.ft]"),
        digest=_of(own, "set-digest", str, f"{file}: [tool.ft]"),
        asked=frozenset(normalize(str(n)) for n in _of(own, "asked", list, f"{file}: [tool.ft]")),
    )


def _locked(entry: Any, where: str) -> Locked:
    if not isinstance(entry, dict):
        raise InputError("packages must be tables", where=where)
    name = _of(entry, "name", str, where)
    if not name:
        raise InputError("the entry has no name", where=where)
    return Locked(
        name=normalize(name),
        version=_of(entry, "version", str, where),
        artifacts=tuple(_artifacts(entry, where)),
        marker=_of(entry, "marker", str, where),
        where=where,
    )


def _artifacts(entry: Mapping[str, Any], where: str) -> Iterator[Artifact]:
    files = [*_of(entry, "wheels", list, where), *(entry[key] for key in _SINGLE if key in entry)]
    for file in files:
        if not isinstance(file, dict):
            raise InputError("a file of the entry is not a table", where=where)
        place = next((file[key] for key in ("url", "path", "name") if key in file), "a file")
        hashes = _of(file, "hashes", dict, where)
        yield Artifact(str(place), {str(k): str(v) for k, v in hashes.items()})


def _of(table: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    """A value of the kind that it must have; an empty one where the key is absent."""
    value = table.get(key, kind())
    if not isinstance(value, kind):
        raise InputError(f"{key} must be a {kind.__name__}, not {value!r:.40}", where=where)
    return value
