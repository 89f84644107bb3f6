"""Which plugins may be loaded: decided on records, before any import.

``ft.toml`` is looked for upward from the working folder::

    [plugins]
    mode = "curated"                        # only what allow names; "open" permits the rest
    allow = ["ft-*", "adapter:lora"]        # distributions, or kind:name; globs
    deny = ["ft-adapter-old"]
    prefer = {"adapter:lora" = "ft-adapter-lora"}

A machine-wide file of the same form comes before it: its ``mode``, its ``allow`` and each of
its ``prefer`` replace the project's. What either file denies is denied.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ft.errors import InputError
from ft.plugins.index import Index, read_index
from ft.plugins.record import Record, normalize

FILE = "ft.toml"
_TYPES: dict[str, tuple[type, str]] = {
    "mode": (str, '"open" or "curated"'),
    "allow": (list, 'a list of names, such as ["ft-*", "adapter:lora"]'),
    "deny": (list, 'a list of names, such as ["ft-adapter-old"]'),
    "prefer": (dict, 'a table, such as {"adapter:lora" = "ft-adapter-lora"}'),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A name or glob in a policy file, and its place as ``ft.toml:4``."""

    pattern: str
    where: str

    def matches(self, record: Record) -> bool:
        if ":" in self.pattern:
            return fnmatchcase(record.id, self.pattern)
        return fnmatchcase(record.distribution, normalize(self.pattern))


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one file, or of several together; ``None`` where a file is silent."""

    mode: Entry | None = None
    allow: tuple[Entry, ...] | None = None
    deny: tuple[Entry, ...] = ()
    prefer: dict[str, Entry] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def over(self, other: Policy) -> Policy:
        """These rules before those of ``other``."""
        return Policy(
            mode=self.mode or other.mode,
            allow=other.allow if self.allow is None else self.allow,
            deny=self.deny + other.deny,
            prefer=other.prefer | self.prefer,
            files=self.files + other.files,
        )

    def denial(self, record: Record) -> str:
        """Why a plugin may not be loaded, or nothing."""
        denied = next((entry for entry in self.deny if entry.matches(record)), None)
        if denied:
            return f"denied by {denied.where}"
        if self.mode and self.mode.pattern == "curated":
            allow = self.allow or ()
            if not any(entry.matches(record) for entry in allow):
                return f"not in the allow list of {allow[0].where if allow else self.mode.where}"
        return ""

    def apply(self, index: Index) -> Index:
        """The index as this policy leaves it."""
        found = []
        for record in index.found:
            denial = self.denial(record)
            if denial:
                record = replace(record, state="denied", reason=denial, remembered=False)
            found.append(record)
        prefer = {id: (entry.pattern, entry.where) for id, entry in self.prefer.items()}
        return Index(found, index.matches, prefer)


def installed_index(cwd: Path | None = None) -> Index:
    """The installed plugins under the policy that holds in ``cwd``."""
    return read_policy(cwd).apply(read_index())


def read_policy(cwd: Path | None = None) -> Policy:
    """The machine's rules before the project's. Raises :class:`ft.errors.InputError`."""
    policy = Policy()
    folder = (cwd or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE).is_file():
            policy = parse_policy(candidate / FILE)
            break
    machine = machine_file()
    return parse_policy(machine).over(policy) if machine.is_file() else policy


def machine_file() -> Path:
    """Where the machine-wide policy lies, if there is one (``FT_MACHINE_POLICY``)."""
    override = os.environ.get("FT_MACHINE_POLICY")
    if override:
        return Path(override)

    from platformdirs import site_config_dir

    return Path(site_config_dir("ft", appauthor=False)) / FILE


def parse_policy(file: Path) -> Policy:
    """Read one policy file. Raises :class:`ft.errors.InputError` with file and line."""
    import tomllib

    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=_shown(file)) from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{_shown(file)}:{line[1]}" if line else _shown(file)
        raise InputError(f"is not TOML: {error}", where=where) from error
    source = _Source(file, text.splitlines())
    source.check_keys(data, ["plugins"], "the file")
    table = data.get("plugins", {})
    if not isinstance(table, dict):
        raise InputError("plugins must be a table: [plugins]", where=source.place("plugins"))
    source.check_keys(table, list(_TYPES), "[plugins]")
    for key, value in table.items():
        _check_value(source, key, value)
    mode = table.get("mode")
    allow = table.get("allow")
    return Policy(
        mode=Entry(mode, source.place("mode")) if mode else None,
        allow=None if allow is None else source.entries("allow", allow),
        deny=source.entries("deny", table.get("deny", ())),
        prefer={
            id: Entry(normalize(distribution), source.place("prefer", id))
            for id, distribution in table.get("prefer", {}).items()
        },
        files=(file,),
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """The text of a policy file, which knows the line that the TOML parser forgets."""

    file: Path
    lines: list[str]

    def place(self, key: str, item: str | None = None) -> str:
        """``ft.toml:4``: the line of a key, or of an item in its value."""
        word = re.escape(key)
        start = re.compile(rf"""\s*(plugins\.)?["']?{word}["']?\s*[=.]|\s*\[.*\b{word}\s*\]""")
        number = next((n for n, line in enumerate(self.lines) if start.match(line)), 0)
        if item is not None:
            quoted = (f'"{item}"', f"'{item}'")
            number = next(
                (
                    n
                    for n, line in enumerate(self.lines[number:], number)
                    if any(q in line.partition("#")[0] for q in quoted)
                ),
                number,
            )
        return f"{_shown(self.file)}:{number + 1}"

    def entries(self, key: str, items: Sequence[str]) -> tuple[Entry, ...]:
        return tuple(Entry(item, self.place(key, item)) for item in items)

    def check_keys(self, table: dict[str, Any], known: list[str], what: str) -> None:
        for key in table:
            if key not in known:
                from difflib import get_close_matches

                close = get_close_matches(key, known, 1)
                raise InputError(
                    f"{what} has no key {key!r}",
                    where=self.place(key),
                    hint=f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}",
                )


def _check_value(source: _Source, key: str, value: Any) -> None:
    expected, form = _TYPES[key]
    items: Any = value.values() if isinstance(value, dict) else value
    fits = isinstance(value, expected)
    if (
        not fits
        or (key == "mode" and value not in ("open", "curated"))
        or not all(isinstance(item, str) for item in items)
    ):
        raise InputError(f"plugins.{key} must be {form}", where=source.place(key))
    for id in value if key == "prefer" else ():
        if not re.fullmatch(r"[^:\s]+:[^:\s]+", id):
            raise InputError(
                f"plugins.prefer has {id!r} where a kind:name belongs",
                where=source.place(key, id),
            )


def _shown(file: Path) -> str:
    """The file as the reader finds it: relative where it lies in the working folder."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
