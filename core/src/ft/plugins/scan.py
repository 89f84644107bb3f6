"""Installed metadata along a path, turned into records. Imports no plugin."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ft
from ft.plugins import requirement
from ft.plugins.metadata import Damaged, Headers, parse_entry_points, parse_headers
from ft.plugins.record import Record, State, normalize

MATCH_GROUPS = "ft.match."
REGISTRY_GROUP = "ft.registry"  # leads to data about plugins, and to none
_VALUE = re.compile(r"([A-Za-z_]\w*)(?:\.\w+)*:[A-Za-z_][\w.]*(?:\s*\[[^]]*\])?")
_FOLDERS = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}


@dataclass(frozen=True, slots=True)
class MatchEntry:
    """An entry point of a group ``ft.match.<group>``: ``key`` leads to the plugin ``value``."""

    group: str
    key: str
    distribution: str
    value: str


def scan(path: Sequence[str]) -> tuple[list[Record], list[MatchEntry]]:
    """All plugins that ``path`` holds, and the keys that lead to them.

    Of two distributions with one name the first on the path counts, as for an import.
    """
    place = Place()
    for entry in dict.fromkeys(os.path.abspath(entry) for entry in path):  # noqa: PTH100
        place.add(entry)
    records: list[Record] = []
    matches: list[MatchEntry] = []
    for distribution, folder in place.folders.items():
        found, leading = _read(distribution, folder, place)
        records += found
        matches += leading
    return records, matches


class Place:
    """What lies on a path: distributions, and the names that can be imported."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.names: set[str] = set(sys.builtin_module_names)
        self.has_archive = False
        self._verdicts: dict[str, str] = {}

    def add(self, entry: str) -> None:
        try:
            names = sorted(os.listdir(entry))  # noqa: PTH208 (a Path for each is slow)
        except OSError:
            self.has_archive = self.has_archive or Path(entry).is_file()
            return
        self.names.update(names)
        for name in names:
            stem, suffix = name[:-10], name[-10:]
            if suffix == ".dist-info":
                project, _, version = stem.rpartition("-")
            elif name.endswith(".egg-info"):
                stem = name[:-9]
                project, _, version = stem.partition("-")
                version = version.partition("-py")[0]
            else:
                continue
            distribution = normalize(project or stem)
            if distribution not in self.folders:
                self.folders[distribution] = f"{entry}{os.sep}{name}"
                self.versions[distribution] = version

    def unmet(self, needed: str) -> str:
        """Why a requirement is not met here. Plugins repeat each other's, so it is kept."""
        if needed not in self._verdicts:
            # the core that runs counts, whatever core the path may also hold
            installed = {**self.versions, "ft-core": ft.__version__}
            self._verdicts[needed] = requirement.unmet(needed, installed)
        return self._verdicts[needed]

    def holds(self, module: str, folder: str) -> bool:
        """Whether top-level ``module`` exists, as far as a look at file names can tell."""
        if module in self.names or f"{module}.py" in self.names or self.has_archive:
            return True
        if any(name.startswith(f"{module}.") for name in self.names):
            return True  # an extension module
        # an editable install maps its modules with an import hook of its own
        return b'"editable"' in (_content(f"{folder}/direct_url.json") or b"")


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None


def _read(distribution: str, folder: str, place: Place) -> tuple[list[Record], list[MatchEntry]]:
    data = _content(f"{folder}/entry_points.txt")
    # ft-<kind>-<name>: what a distribution that lost its entry points probably was
    convention = distribution.split("-", 2) if distribution.startswith("ft-") else []
    if (data is None or b"[ft." not in data) and len(convention) < 3:
        return [], []
    entries, damage = parse_entry_points(data or b"")
    plugins = [
        (group[3:], name, value)
        for group, name, value in entries
        if group.startswith("ft.") and "." not in group[3:] and group != REGISTRY_GROUP
    ]
    headers: Headers | None = None
    try:
        headers = _headers(distribution, folder)
    except Damaged as error:
        damage = str(error)
    if damage and not plugins:
        kind, name = convention[1:] if len(convention) == 3 else ("unknown", distribution)
        plugins = [(kind, name, "")]

    state: State = "ok"
    reason = ""
    if headers and not damage:
        state, reason = _requirements(headers, place)
    records: dict[tuple[str, str], Record] = {}
    for kind, name, value in plugins:
        own_state, own_reason = state, reason
        if damage:
            own_state, own_reason = "broken", damage
        elif state == "ok":
            shape = _VALUE.fullmatch(value)
            if not shape:
                own_state = "broken"
                own_reason = f"its entry point {value!r} is not of the form module:object"
            elif not place.holds(shape[1], folder):
                own_state, own_reason = "broken", f"its module {shape[1]} is not on disk"
        # a name that is given twice in one file: the first counts, as for two distributions
        records.setdefault(
            (kind, name),
            Record(
                kind=kind,
                name=name,
                distribution=distribution,
                version=headers.version if headers else place.versions[distribution],
                summary=headers.summary if headers else "",
                value=value.partition("[")[0].strip(),
                requires=headers.requires if headers else (),
                state=own_state,
                reason=own_reason,
                location=folder,
                keywords=headers.keywords if headers else "",
            ),
        )
    matches = [
        MatchEntry(
            group.removeprefix(MATCH_GROUPS), key, distribution, value.partition("[")[0].strip()
        )
        for group, key, value in entries
        if group.startswith(MATCH_GROUPS)
    ]
    return list(records.values()), matches


def _headers(distribution: str, folder: str) -> Headers:
    name = _FOLDERS[folder[folder.rindex(".") :]]
    data = _content(f"{folder}/{name}")
    if data is None:
        raise Damaged(f"{name} is missing or cannot be read")
    headers = parse_headers(data)
    if normalize(headers.name) != distribution:
        raise Damaged(f"{name} is damaged: it names {headers.name!r}")
    return headers


def _requirements(headers: Headers, place: Place) -> tuple[State, str]:
    """Whether this core, this Python and what is installed are what the plugin asks for."""
    missing = ""
    try:
        python = platform.python_version()
        if headers.requires_python and not requirement.satisfies(python, headers.requires_python):
            return "incompatible", f"needs Python {headers.requires_python}, and this is {python}"
        for needed in headers.requires:
            problem = place.unmet(needed)
            if problem.startswith("needs ft-core"):
                return "incompatible", problem
            missing = missing or problem
    except ValueError as error:
        return "broken", f"METADATA is damaged: {str(error).splitlines()[0]}"
    return ("missing-dependency", missing) if missing else ("ok", "")
