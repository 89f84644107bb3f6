"""Registries along a path, read from their files. Imports neither plugins nor registries.

A registry is found as plugins are: by an entry point, here of the group ``ft.registry``, whose
value is the package that holds its files. ``first-party.json`` and ``plugins/*.json`` list
published distributions; a command reads all of them, and JSON is read ten times as fast as TOML.
People write the rest by hand: ``advisories/*.toml`` and ``sets/*.toml``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ft.errors import FtError, InputError
from ft.plugins.metadata import parse_entry_points
from ft.plugins.scan import REGISTRY_GROUP, Place
from ft.registry.entry import advisory, curated_set, published
from ft.registry.model import Advisory, Published, Registry, Set, Source

FIRST = "ft-registry"
"""The project's own registry, which comes before all others."""

_DATA = (".json", ".toml")
_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_SET_NAME = re.compile(r"(?:([A-Za-z0-9][\w.-]*)/)?([a-z0-9]+(?:-[a-z0-9]+)*)", re.ASCII)


def read_registries(path: Sequence[str] | None = None) -> Registry:
    """What all registries along ``path`` (``sys.path`` by default) say together.

    Of two that list one distribution both entries are kept, the project's own first. Of two
    sets with one name the first keeps it, and the other is called ``registry/name``.
    Raises :class:`ft.errors.InputError` with the file that is wrong.
    """
    folders = _folders(path)
    listed: list[Published] = []
    sets: dict[str, Set] = {}
    for folder in folders:
        listed += folder.published()
        for entry in folder.sets():
            taken = entry.name in sets
            sets[f"{folder.distribution}/{entry.name}" if taken else entry.name] = entry
    return Registry(tuple(listed), _advisories(folders), sets)


def read_advisories(
    path: Sequence[str] | None = None, failed: Callable[[FtError], None] | None = None
) -> tuple[Advisory, ...]:
    """The advisories alone, which a check before every import can afford to read.

    With ``failed`` a registry that cannot be read is told to it and does not hide the others.
    """
    return _advisories(_folders(path), failed)


def _advisories(
    folders: Sequence[_Folder], failed: Callable[[FtError], None] | None = None
) -> tuple[Advisory, ...]:
    found: list[Advisory] = []
    for folder in folders:
        try:
            found += folder.advisories()
        except FtError as error:
            if failed is None:
                raise
            failed(error)
    return tuple(found)


def read_set(name_or_file: str, registry: Registry) -> Set:
    """A set with all that it includes.

    ``name_or_file`` is the name of a set of ``registry`` (``starter``, ``ft-registry/starter``)
    or, where it ends in ``.toml``, a file. What is included is named in the same way; a file
    there lies beside the one that names it or below. Ranges of one distribution hold together,
    a set's own options count before those it includes, and grants are only its own: leave is
    never inherited. Raises :class:`ft.errors.InputError`.
    """
    return _resolved(_own(name_or_file, registry, None), registry, ())


@dataclass(frozen=True, slots=True)
class _Folder:
    """The package of one registry."""

    distribution: str
    path: str

    def published(self) -> Iterator[Published]:
        # one file, since the project's own list is computed
        file = Path(self.path) / "first-party.json"
        if file.exists():
            self._check_inside(str(file), file.is_symlink())
            source = Source(self.distribution, file.name)
            for entry in _list(_read_json(str(file), str(source)), source):
                yield published(entry, source)
        for _, path, source in self._files("plugins", ".json"):
            yield published(_read_json(path, str(source)), source)

    def advisories(self) -> Iterator[Advisory]:
        for name, path, source in self._files("advisories", ".toml"):
            yield advisory(name, _read_toml(path, str(source)), source)

    def sets(self) -> Iterator[Set]:
        for name, path, source in self._files("sets", ".toml"):
            if not _SET_NAME.fullmatch(name) or "/" in name:
                raise InputError(
                    "is not a set's name: small letters, digits and hyphens", where=str(source)
                )
            yield curated_set(name, _read_toml(path, str(source)), source)

    def _files(self, folder: str, suffix: str) -> Iterator[tuple[str, str, Source]]:
        """Name, path and source of each file of a folder, in the order of names."""
        place = f"{self.path}{os.sep}{folder}"
        if not os.path.isdir(place):  # noqa: PTH112 (a Path for each file is slow)
            return
        self._check_inside(place, os.path.islink(place))  # noqa: PTH114
        with os.scandir(place) as found:
            files = sorted((f for f in found if f.name.endswith(_DATA)), key=lambda f: f.name)
        for file in files:
            self._check_inside(file.path, file.is_symlink())
            source = Source(self.distribution, f"{folder}/{file.name}")
            if not file.name.endswith(suffix):  # left out in silence it would be missed by nobody
                raise InputError(f"must be a file *{suffix}", where=str(source))
            yield file.name.removesuffix(suffix), file.path, source

    def _check_inside(self, file: str, is_link: bool) -> None:
        """A link may lead to another file of the registry, and nowhere else."""
        if is_link and not Path(file).resolve().is_relative_to(Path(self.path).resolve()):
            raise InputError(
                f"{Path(file).name} is a link that leads out of the registry",
                where=f"{self.distribution}: {Path(file).relative_to(self.path).as_posix()}",
                hint=f"install {self.distribution} again, from where you trust it to come",
            )


def _folders(path: Sequence[str] | None) -> list[_Folder]:
    place = Place()
    entries = list(dict.fromkeys(os.path.abspath(e) for e in (sys.path if path is None else path)))  # noqa: PTH100
    for entry in entries:
        place.add(entry)
    found = []
    for distribution, info in place.folders.items():
        try:
            with open(f"{info}/entry_points.txt", "rb", buffering=0) as file:  # noqa: PTH123
                data = file.read()
        except OSError:
            continue
        if b"[ft.registry]" not in data:
            continue
        points, damage = parse_entry_points(data)
        packages = [value for group, _, value in points if group == REGISTRY_GROUP]
        if damage or not packages:
            raise InputError(
                damage or "names no package", where=f"{distribution}: {REGISTRY_GROUP}"
            )
        for package in packages:
            # beside its metadata, or anywhere on the path where it is an editable install
            places = [os.path.dirname(info), *entries]  # noqa: PTH120
            found.append(_Folder(distribution, _package_folder(package, places, distribution)))
    return sorted(found, key=lambda folder: (folder.distribution != FIRST, folder.distribution))


def _package_folder(package: str, places: Sequence[str], distribution: str) -> str:
    if not _PACKAGE.fullmatch(package):
        raise InputError(
            f"{package!r} is not the name of a package", where=f"{distribution}: {REGISTRY_GROUP}"
        )
    for place in places:
        folder = os.path.join(place, *package.split("."))  # noqa: PTH118
        if os.path.isdir(folder):  # noqa: PTH112
            return folder
    raise InputError(
        f"its package {package} is not on disk",
        where=f"{distribution}: {REGISTRY_GROUP}",
        hint=f"install it again: pip install --force-reinstall {distribution}",
    )


def _read_toml(file: str, where: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(file, "rb") as stream:  # noqa: PTH123
            return tomllib.load(stream)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"cannot be read: {error}", where=where) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML: {error}", where=where) from error


def _read_json(file: str, where: str) -> Any:
    try:
        with open(file, "rb", buffering=0) as stream:  # noqa: PTH123
            return json.loads(stream.read())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"is not readable JSON: {error}", where=where) from error


def _list(data: Any, source: Source) -> list[Any]:
    if not isinstance(data, list):
        raise InputError("must be a list of distributions", where=str(source))
    return data


def _own(text: str, registry: Registry, namer: Set | None) -> Set:
    """The set that ``text`` names, alone. ``namer`` is the set that includes it."""
    where = str(namer.source) if namer else None
    if text.endswith(".toml"):
        file = Path(text) if namer is None else _beside(text, namer.source)
        data = _read_toml(str(file), str(file))
        return curated_set(file.stem, data, Source("", str(file)))
    name = _SET_NAME.fullmatch(text)
    if not name:
        raise InputError(
            f"{text!r} is neither the name of a set nor a TOML file",
            where=where,
            hint=_sets_there(registry),
        )
    found = registry.sets.get(text)
    if found is None and name[1]:
        bare = registry.sets.get(name[2])
        found = bare if bare and bare.source.registry == name[1] else None
    if found is None:
        hint = _sets_there(registry)
        raise InputError(f"no registry has a set {text!r}", where=where, hint=hint)
    return found


def _beside(text: str, namer: Source) -> Path:
    """The file ``text`` that a team's set includes: in the folder of that set, or below."""
    folder = Path(namer.file).parent
    if namer.registry or not (folder / text).resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"includes the file {text!r}, which it may not reach",
            where=str(namer),
            hint="a registry's set includes sets by name, a team's also files beside it or below",
        )
    return folder / text


def _sets_there(registry: Registry) -> str:
    if not registry.sets:
        return f"no sets are installed; pip install {FIRST} brings the project's own"
    return f"sets: {', '.join(registry.sets)}; a file ends in .toml"


def _resolved(own: Set, registry: Registry, above: tuple[Source, ...]) -> Set:
    if own.source in above:
        raise InputError("the set includes itself", where=str(own.source))
    plugins: dict[str, str] = {}
    options: dict[str, dict[str, Any]] = {}
    allow: tuple[str, ...] = ()
    registries = {own.source.registry} - {""}
    included = [
        _resolved(_own(name, registry, own), registry, (*above, own.source))
        for name in own.includes
    ]
    for part in (*included, own):
        for distribution, versions in part.plugins.items():
            ranges = [r for r in (plugins.get(distribution), versions) if r]
            plugins[distribution] = ",".join(dict.fromkeys(ranges))
        for id, values in part.options.items():
            options[id] = options.get(id, {}) | dict(values)
        allow += part.allow
        registries.update(part.registries)
    return replace(
        own,
        plugins=plugins,
        options=options,
        allow=tuple(dict.fromkeys(allow)),
        registries=tuple(sorted(registries)),
    )
