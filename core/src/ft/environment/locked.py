"""Mode ``locked``: what is imported is what the lock names, file by file.

The lock has the version of a plugin's distribution and the hashes of its wheels, the notes
beside it the digest of the RECORD that such a wheel gives, and RECORD the hash of each file.
All of them have to agree. Only what is about to be imported is read and hashed.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.machinery import PathFinder
from pathlib import Path

from ft.environment.digests import Digest, digests_file, read_digests
from ft.environment.lock import Locked, read_lock
from ft.environment.record import changed_files, read_record, record_digest, unowned_files
from ft.errors import FtError
from ft.plugins.policy_file import Entry, shown
from ft.plugins.record import Record


@dataclass(frozen=True, slots=True)
class Seals:
    """What a lock says of plugins. ``asked`` is what asks for it; ``fault`` denies everything."""

    file: Path
    asked: Entry
    entries: Mapping[str, Sequence[Locked]] = field(default_factory=dict)
    digests: Mapping[str, Digest] = field(default_factory=dict)
    fault: str = ""

    def denial(self, record: Record) -> str:
        """Why a plugin is not what was locked, as far as metadata can tell; or nothing."""
        if self.fault:
            return self.fault
        entry = self._entry(record)
        if entry is None:
            return f"not in {shown(self.file)}, and {self.asked.where} permits what is locked alone"
        if entry.version != record.version:
            return f"{entry.where} has {entry.version}, and {record.version} is installed"
        if entry.unhashed:
            return f"{entry.where} has no hash for {entry.unhashed[0].rpartition('/')[2]}"
        digest = self.digests.get(record.distribution)
        if digest is None or not digest.stands_for(entry):
            notes = shown(digests_file(self.file))
            return f'{notes} has nothing about {entry.where}; "ft env sync" writes it'
        return ""

    def put(self, record: Record) -> Record:
        """A record that is not denied, with the digest that its RECORD must have."""
        entry = self._entry(record)
        place = f"{entry.where}, " if entry else ""
        return replace(
            record,
            seal=self.digests[record.distribution].record,
            sealed_by=f"{place}which {self.asked.where} asks for",
        )

    def _entry(self, record: Record) -> Locked | None:
        python = platform.python_version()
        entries = self.entries.get(record.distribution, ())
        return next((entry for entry in entries if entry.applies(python)), None)


def read_seals(file: Path, asked: Entry) -> Seals:
    """Read a lock and the notes beside it. What is wrong with them is the ``fault``."""
    entries: dict[str, list[Locked]] = defaultdict(list)
    try:
        for entry in read_lock(file).packages:
            where = entry.where.replace(str(file), shown(file))
            entries[entry.name].append(replace(entry, where=where))
        return Seals(file, asked, entries, read_digests(file))
    except FtError as error:
        hint = f"; {error.hint}" if error.hint else ""
        fault = f"{asked.where} asks for a lock; {shown(file)}: {error.message}{hint}"
        return Seals(file, asked, fault=fault)


def checked(record: Record) -> Record:
    """The record as it is, or denied where its files are not those that were locked.

    To be asked right before an import. A record without a ``seal`` is under no lock.
    """
    if record.state == "denied" or not record.seal:
        return record
    difference = _difference(record, Path(record.location))
    if not difference:
        return record
    reason = f'{difference} ({record.sealed_by}); "ft env verify" tells more'
    return replace(record, state="denied", reason=reason, remembered=False)


def _difference(record: Record, info: Path) -> str:
    """In what an installed distribution differs from its seal, or nothing."""
    try:
        if record_digest(info) != record.seal:
            return f"the RECORD of {record.distribution} is not the one that was locked"
        if changed := changed_files(info):
            return f"{_listed(changed)} is not the file that was locked"
        if planted := unowned_files(info):
            return f"{_listed(planted)} is a file that no RECORD lists"
        owned = {(info.parent / path).resolve() for path, _ in read_record(info)}
    except (OSError, UnicodeDecodeError) as error:
        return f"the RECORD of {record.distribution} cannot be read: {error}"
    module = record.value.partition(":")[0]
    for file in _files_of(module):
        if file is None or file.resolve() not in owned:
            return f"module {module} is {file or 'nowhere'}, no file of {record.distribution}"
    return ""


def _files_of(module: str) -> list[Path | None]:
    """The files that an import of ``module`` would run, found without running any.

    ``None`` stands for one that is not there; a package without a file runs nothing.
    """
    path: Sequence[str] | None = None
    files: list[Path | None] = []
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return [None]
        path = spec.submodule_search_locations
        if spec.origin:
            files.append(Path(spec.origin))
    return files or [None]


def _listed(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} (and {len(paths) - 1} more)"
