"""What is installed, held file by file against a lock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from ft.environment.digests import Digest, digests_file, read_digests
from ft.environment.lock import Lock, Locked
from ft.environment.place import Environment, Installed
from ft.environment.record import RECORD, changed_files, read_record, record_digest, unowned_files

_OF_THE_ENVIRONMENT = "_virtualenv.pth"
"""What tools that make environments put there, and no distribution owns."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the lock says.

    ``kind`` is a word for programs, ``what`` a sentence's rest for people, and ``file`` the
    file it is about, from the folder of installed packages.
    """

    distribution: str
    kind: str
    what: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.distribution}: {self.what}"


def verify(lock: Lock, environment: Environment, digest: str | None = None) -> list[Difference]:
    """Everything in which an environment differs from its lock, by distribution.

    ``digest`` is that of the lock's set as it is today, where it is known. Every file of every
    locked distribution is read. Raises :class:`ft.errors.InputError` where the notes beside
    the lock cannot be read.
    """
    needed = lock.applying(environment.version)
    digests = read_digests(lock.file)
    found = list(_of_lock(lock, digest))
    examined: list[Installed] = []
    seen: set[str] = set()
    for installed in environment.folders:
        name, entry = installed.name, needed.get(installed.name)
        if name in seen:
            what = f"it is installed twice; the second is {installed.info.name}"
            found.append(Difference(name, "twice", what))
        elif entry is None:
            what = f"{installed.version} is installed, and the lock does not have it"
            found.append(Difference(name, "not-locked", what))
        elif installed.version != entry.version:
            what = f"{installed.version} is installed, and {entry.where} has {entry.version}"
            found.append(Difference(name, "version", what))
        else:
            examined.append(installed)
        seen.add(name)
    for name, entry in needed.items():
        if name not in seen:
            what = f"it is not installed, and {entry.where} has {entry.version}"
            found.append(Difference(name, "absent", what))

    def examine(installed: Installed) -> list[Difference]:
        name = installed.name
        return list(_of_files(installed, name in lock.asked, needed[name], digests.get(name), lock))

    with ThreadPoolExecutor() as pool:
        found += chain.from_iterable(pool.map(examine, examined))
    found += _of_start_up(environment, lock)
    return sorted(found, key=lambda difference: difference.distribution)


def _of_lock(lock: Lock, digest: str | None) -> Iterator[Difference]:
    for entry in lock.packages:
        for place in entry.unhashed:
            what = f"{entry.where} has no hash for {place.rpartition('/')[2]}"
            yield Difference(entry.name, "no-hash", what)
    if digest is not None and digest != lock.digest:
        what = f'it has changed since {lock.file} was made; "ft env lock" makes it anew'
        yield Difference(f"the set {lock.set}", "set", what)


def _of_files(
    installed: Installed, asked: bool, entry: Locked, digest: Digest | None, lock: Lock
) -> Iterator[Difference]:
    name, info = installed.name, installed.info
    try:
        record = record_digest(info)
        changed = changed_files(info)
    except (OSError, UnicodeDecodeError) as error:
        yield Difference(name, "no-record", f"its {RECORD} cannot be read: {error}")
        return
    for path in changed:
        if (info.parent / path).is_file():
            yield Difference(name, "changed", f"{path} is not the file that was installed", path)
        else:
            yield Difference(name, "missing", f"{path} is missing", path)
    notes = digests_file(lock.file).name
    if digest is None or not digest.stands_for(entry):
        what = f'{notes} has nothing about {entry.where}; "ft env sync" writes it'
        yield Difference(name, "not-noted", what)
    elif digest.record != record:
        what = f"its {RECORD} is not the one that {notes} tells of"
        yield Difference(name, "record", what, f"{info.name}/{RECORD}")
    if asked or installed.extends_ft:
        for path in unowned_files(info):
            yield Difference(name, "unowned", f"{path} is a file that no {RECORD} lists", path)


def _of_start_up(environment: Environment, lock: Lock) -> Iterator[Difference]:
    """``.pth`` files of a plugin, locked or not, and of nobody: Python runs their lines at every
    start.
    """
    there = {file for site in environment.sites for file in site.glob("*.pth")}
    for installed in environment.folders if there else ():
        name, info = installed.name, installed.info
        try:
            own = [path for path, _ in read_record(info) if path.endswith(".pth")]
        except (OSError, UnicodeDecodeError):
            continue  # it is told of where it is examined
        there -= {info.parent / path for path in own}
        for path in own if name in lock.asked or installed.extends_ft else ():
            what = f"{path} runs at every start of Python, and a plugin has no need of that"
            yield Difference(name, "start-up", what, path)
    for file in sorted(there):
        if file.name != _OF_THE_ENVIRONMENT:
            what = f"{file.name} runs at every start of Python, and no {RECORD} lists it"
            yield Difference("the environment", "start-up", what, file.name)
