"""Making an environment equal to a lock. uv installs; this says what will happen, and notes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ft.environment.digests import Digest, read_digests, write_digests
from ft.environment.lock import Lock, Locked
from ft.environment.place import Environment, Installed
from ft.environment.record import changed_files, record_digest
from ft.environment.uv import run_uv
from ft.errors import InputError, RunError


@dataclass(frozen=True, slots=True)
class Plan:
    """What a synchronisation changes; versions by name.

    ``again`` are distributions that are there in the right version and yet are taken from
    their wheels anew: plugins of which no wheel is known to have been checked, and whatever is
    not as it was noted.
    """

    install: Mapping[str, str]
    change: Mapping[str, tuple[str, str]]
    again: Mapping[str, str]
    remove: Mapping[str, str]


def plan_sync(lock: Lock, environment: Environment, *, reinstall: bool = False) -> Plan:
    """What differs; with ``reinstall`` all that is there is taken from its wheel again.

    Raises :class:`ft.errors.InputError` where the lock leaves out a hash.
    """
    for entry in lock.packages:
        for place in entry.unhashed:
            raise InputError(
                f"{entry.name} has no hash for {place.rpartition('/')[2]}",
                where=entry.where,
                hint='nothing is installed unchecked; "ft env lock" writes all hashes',
            )
    needed = lock.applying(environment.version)
    digests = read_digests(lock.file)
    there = environment.installed
    same = {
        name for name in needed if name in there and there[name].version == needed[name].version
    }
    return Plan(
        install={name: e.version for name, e in needed.items() if name not in there},
        change={
            name: (there[name].version, entry.version)
            for name, entry in needed.items()
            if name in there and name not in same
        },
        again={
            name: needed[name].version
            for name in sorted(same)
            if reinstall
            or _is_doubtful(there[name], needed[name], digests.get(name), name in lock.asked)
        },
        remove={name: found.version for name, found in there.items() if name not in needed},
    )


def sync(lock: Lock, environment: Environment, plan: Plan) -> Environment:
    """Do as ``plan`` says and note what each RECORD lists; the environment as it is then.

    Raises :class:`ft.errors.RunError` where uv fails, as it does for a wheel whose hash is
    not the lock's, and where what it installed is not what the wheel lists.
    """
    python = ("--python", environment.python)
    run_uv(
        *("pip", "sync", lock.file, *python, "--quiet"),
        *(word for name in plan.again for word in ("--reinstall-package", name)),
        failed=f"the environment of {environment.python} cannot be made equal to {lock.file}",
    )
    now = Environment(environment.python, environment.version, environment.sites)
    needed = lock.applying(environment.version)
    # uv leaves the pip of an environment that the standard library made
    left = [name for name in now.installed if name not in needed]
    if left:
        run_uv("pip", "uninstall", *python, "--quiet", *left, failed=f"{left} cannot be removed")
        now = Environment(environment.python, environment.version, environment.sites)

    fresh = plan.install.keys() | plan.change.keys() | plan.again.keys()
    before = read_digests(lock.file)
    noted = {}
    for name, entry in needed.items():
        found = now.installed.get(name)
        if found is None:
            raise RunError(f"{name} is not there after the installation", where=entry.where)
        if name in fresh and (changed := changed_files(found.info)):
            raise RunError(
                f"{changed[0]} is not the file that the wheel lists",
                where=name,
                hint=f"what uv keeps of the wheel was changed: uv cache clean {name}, and again",
            )
        digest = Digest(
            entry.version, _record(found), entry.hashes, "wheel" if name in fresh else "found"
        )
        known = before.get(name)
        if known and known.stands_for(entry) and (known.record == digest.record):
            digest = known if known.origin == "wheel" else digest
        noted[name] = digest
    write_digests(lock.file, noted)
    return now


def _is_doubtful(found: Installed, entry: Locked, digest: Digest | None, asked: bool) -> bool:
    """Whether what is there in the right version is to be taken from a checked wheel again.

    Plugins and the core without a word about their wheel are, and whatever contradicts its
    note. Their files are read; those of the libraries, which may be large, are not here.
    """
    own = asked or found.extends_ft
    if digest is None or not digest.stands_for(entry):
        return own or digest is not None
    return digest.record != _record(found) or (own and bool(changed_files(found.info)))


def _record(found: Installed) -> str:
    try:
        return record_digest(found.info)
    except OSError:
        return ""
