"""``ft.toml``: what a policy file says, with the line that says it.

::

    [env]
    set = "starter"                         # a curated set, or a file: "team/set.toml"
    lock = "pylock.toml"                    # what ft env lock wrote; this is the default

    [plugins]
    mode = "curated"                        # open, curated or locked
    allow = ["ft-adapter-*", "adapter:lora"]    # distributions, or kind:name; globs
    deny = ["ft-adapter-old"]
    prefer = {"adapter:lora" = "ft-adapter-lora"}
    grants = ["trust-remote-code"]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ft.errors import InputError
from ft.plugins.record import Record, normalize
from ft.registry.model import GRANTS

FILE = "ft.toml"
MODES = ("open", "curated", "locked")
"""How strict a policy is, the strictest last."""

_NAMES = "a list of names, such as "
_TABLES: dict[str, dict[str, tuple[type, str]]] = {
    "env": {
        "set": (str, 'the name of a set, such as "starter", or a TOML file'),
        "lock": (str, 'a file, such as "pylock.toml"'),
    },
    "plugins": {
        "mode": (str, '"open", "curated" or "locked"'),
        "allow": (list, _NAMES + '["ft-*", "adapter:lora"]'),
        "deny": (list, _NAMES + '["ft-adapter-old"]'),
        "prefer": (dict, 'a table, such as {"adapter:lora" = "ft-adapter-lora"}'),
        "grants": (list, f"a list of {', '.join(GRANTS)}"),
    },
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A name or glob in a policy file, and its place as ``ft.toml:4``."""

    pattern: str
    where: str

    def matches(self, record: Record) -> bool:
        """Whether a plugin is meant, by ``kind:name`` or by its distribution."""
        if ":" in self.pattern:
            return fnmatchcase(record.id, self.pattern)
        return fnmatchcase(record.distribution, normalize(self.pattern))


@dataclass(frozen=True, slots=True)
class Permitted:
    """What one file lets in: the plugins of a set, more of them, and what needs leave.

    ``allow`` is ``None`` where the file has no such list.
    """

    set: Entry | None
    allow: tuple[Entry, ...] | None
    grants: tuple[Entry, ...]
    file: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one file, or of several together; ``None`` where a file is silent.

    ``mode`` has one of :data:`MODES` as its pattern, ``lock`` and a set that is a file an
    absolute path. ``needs_list``: some file asks for mode ``curated``, which a lock that comes
    on top does not replace.
    """

    mode: Entry | None = None
    needs_list: bool = False
    permitted: Permitted | None = None
    deny: tuple[Entry, ...] = ()
    prefer: dict[str, Entry] = field(default_factory=dict)
    lock: Entry | None = None
    files: tuple[Path, ...] = ()

    def over(self, other: Rules) -> Rules:
        """These rules before those of ``other``: the stricter mode, and all that is denied."""
        modes = [mode for mode in (self.mode, other.mode) if mode]
        return Rules(
            mode=max(modes, key=lambda mode: MODES.index(mode.pattern), default=None),
            needs_list=self.needs_list or other.needs_list,
            permitted=self.permitted or other.permitted,
            deny=self.deny + other.deny,
            prefer=other.prefer | self.prefer,
            lock=self.lock or other.lock,
            files=self.files + other.files,
        )


def parse_rules(file: Path) -> Rules:
    """Read one policy file. Raises :class:`ft.errors.InputError` with file and line."""
    import tomllib

    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=shown(file)) from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{shown(file)}:{line[1]}" if line else shown(file)
        raise InputError(f"is not TOML: {error}", where=where) from error
    source = _Source(file, text.splitlines())
    source.check_keys(data, list(_TABLES), "the file")
    tables = {name: source.table(data, name) for name in _TABLES}
    env, plugins = tables["env"], tables["plugins"]
    speaks = "set" in env or "allow" in plugins or "grants" in plugins
    named = source.entry(env, "set")
    if named and named.pattern.endswith(".toml"):
        named = Entry(str(file.parent / named.pattern), named.where)
    lock = source.entry(env, "lock")
    return Rules(
        mode=source.entry(plugins, "mode"),
        needs_list=plugins.get("mode") == "curated",
        permitted=Permitted(
            set=named,
            allow=source.entries(plugins, "allow") if "allow" in plugins else None,
            grants=source.entries(plugins, "grants"),
            file=shown(file),
        )
        if speaks
        else None,
        deny=source.entries(plugins, "deny"),
        prefer={
            id: Entry(normalize(distribution), source.place("prefer", id))
            for id, distribution in plugins.get("prefer", {}).items()
        },
        lock=Entry(str(file.parent / lock.pattern), lock.where) if lock else None,
        files=(file,),
    )


def shown(file: Path) -> str:
    """The file as the reader finds it: relative where it lies in the working folder."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


@dataclass(frozen=True, slots=True)
class _Source:
    """The text of a policy file, which knows the line that the TOML parser forgets."""

    file: Path
    lines: list[str]

    def place(self, key: str, item: str | None = None) -> str:
        """``ft.toml:4``: the line of a key, or of an item in its value."""
        word = re.escape(key)
        start = re.compile(rf"""\s*(\w+\.)?["']?{word}["']?\s*[=.]|\s*\[.*\b{word}\s*\]""")
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
        return f"{shown(self.file)}:{number + 1}"

    def entry(self, table: dict[str, Any], key: str) -> Entry | None:
        return Entry(table[key], self.place(key)) if key in table else None

    def entries(self, table: dict[str, Any], key: str) -> tuple[Entry, ...]:
        items: Sequence[str] = table.get(key, ())
        return tuple(Entry(item, self.place(key, item)) for item in items)

    def table(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        """A table of the file with its keys and values checked; empty where there is none."""
        table = data.get(name, {})
        if not isinstance(table, dict):
            raise InputError(f"{name} must be a table: [{name}]", where=self.place(name))
        self.check_keys(table, list(_TABLES[name]), f"[{name}]")
        for key, value in table.items():
            expected, form = _TABLES[name][key]
            if not isinstance(value, expected) or not _fits(key, value):
                raise InputError(f"{name}.{key} must be {form}", where=self.place(key))
        for id in table.get("prefer", ()):
            if not re.fullmatch(r"[^:\s]+:[^:\s]+", id):
                raise InputError(
                    f"{name}.prefer has {id!r} where a kind:name belongs",
                    where=self.place("prefer", id),
                )
        return table

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


def _fits(key: str, value: Any) -> bool:
    """Whether a value of the right type is one that ``key`` can have."""
    if isinstance(value, str):
        return value in MODES if key == "mode" else bool(value)
    items = value.values() if isinstance(value, dict) else value
    known = GRANTS if key == "grants" else None
    return all(isinstance(item, str) and (known is None or item in known) for item in items)
