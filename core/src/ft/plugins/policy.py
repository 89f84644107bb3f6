"""Which plugins may be loaded: decided on records, before any import.

What an advisory of a registry warns of is denied. Then the machine's file counts, then the
project's ``ft.toml``, which is looked for upward from the working folder, then ``FT_POLICY``:

* the strictest mode that any of them asks for holds, so that none loosens another's;
* what either file denies is denied, whatever else permits it;
* ``set``, ``allow`` and ``grants`` belong together: the machine's where its file has one of
  them, else the project's; and each ``prefer`` and ``lock`` of the machine comes first.

In mode ``curated`` only what the set and ``allow`` name may load. ``locked`` asks in addition
that the installed files are those of the lock (:mod:`ft.environment.locked`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.errors import FtError, InputError
from ft.plugins import advisories, guard
from ft.plugins.index import Index, read_index
from ft.plugins.policy_file import FILE, MODES, Entry, Rules, parse_rules
from ft.plugins.record import Record
from ft.plugins.requirement import satisfies

if TYPE_CHECKING:
    from ft.environment.locked import Seals

VARIABLE = "FT_POLICY"


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules that hold, with what they lead to: the set and the lock.

    ``versions`` are the set's: ranges by distribution. ``fault`` is why nothing but ``allow``
    is permitted: a set that cannot be read lets nothing in.
    """

    rules: Rules = field(default_factory=Rules)
    versions: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[Entry, ...] = ()
    grants: tuple[str, ...] = ()
    fault: str = ""
    seals: Seals | None = None

    @property
    def mode(self) -> str:
        """One of ``open``, ``curated`` and ``locked``."""
        return self.rules.mode.pattern if self.rules.mode else MODES[0]

    @property
    def files(self) -> tuple[Path, ...]:
        return self.rules.files

    def defaults(self) -> tuple[Mapping[str, Mapping[str, Any]], str]:
        """Defaults of options by ``kind:name``, as the set has them in any mode; and who says so.

        Raises :class:`ft.errors.InputError` where the set cannot be read.
        """
        named = self.rules.permitted.set if self.rules.permitted else None
        if named is None:
            return {}, ""

        from ft.registry.read import read_registries, read_set

        try:
            chosen = read_set(named.pattern, read_registries())
        except InputError as error:
            error.where = error.where or named.where
            raise
        return chosen.options, f"the set {Path(named.pattern).name} of {named.where}"

    def denial(self, record: Record) -> str:
        """Why a plugin may not be loaded, or nothing."""
        denied = next((entry for entry in self.rules.deny if entry.matches(record)), None)
        if denied:
            return f"denied by {denied.where}"
        return self._not_listed(record) or (self.seals.denial(record) if self.seals else "")

    def _not_listed(self, record: Record) -> str:
        """Why neither the set nor ``allow`` lets a plugin in, or nothing."""
        mode, permitted = self.rules.mode, self.rules.permitted
        if mode is None or self.mode == "open":
            return ""
        has_list = permitted and (permitted.set or permitted.allow is not None)
        # the lock alone is a list of what may load, where nobody asks for another
        if self.seals and not has_list and not self.rules.needs_list:
            return ""
        if any(entry.matches(record) for entry in self.allow):
            return ""
        named = permitted.set if permitted else None
        if self.fault:
            return self.fault
        if named and record.distribution in self.versions:
            wanted = self.versions[record.distribution]
            if not wanted or _is_within(record.version, wanted):
                return ""
            return f"the set of {named.where} has it as {wanted}, not {record.version}"
        if named:
            return f"not in the set {Path(named.pattern).name} of {named.where}"
        if permitted and permitted.allow:
            return f"not in the allow list of {permitted.allow[0].where}"
        return f"{mode.where} permits what a set or an allow list names, and there is none"

    def apply(self, index: Index, path: Sequence[str] | None = None) -> Index:
        """The index as this policy and the registries along ``path`` leave it."""
        warned_of = advisories.read(path, required=self.seals is not None)
        found = []
        for record in index.found:
            denial = warned_of.denial(record) or self.denial(record)
            if denial:
                record = replace(record, state="denied", reason=denial, remembered=False)
            elif self.seals:
                record = self.seals.put(record)
            found.append(record)
        prefer = {id: (entry.pattern, entry.where) for id, entry in self.rules.prefer.items()}
        return Index(found, index.matches, prefer)

    def permit(self, word: str, what: str, where: str | None = None) -> None:
        """Raise :class:`ft.errors.InputError` unless ``what`` has leave by the name ``word``."""
        mode = self.rules.mode
        if mode is None or self.mode == "open" or word in self.grants:
            return
        file = self.rules.permitted.file if self.rules.permitted else mode.where.partition(":")[0]
        file = FILE if file == VARIABLE else file
        raise InputError(
            f"{what} needs leave, since the mode is {self.mode} ({mode.where})",
            where=where,
            hint=f'to give it, write in {file}:\n    [plugins]\n    grants = ["{word}"]',
        )


def installed_index(cwd: Path | None = None) -> Index:
    """The installed plugins under the policy that holds in ``cwd``.

    From then on importing a denied one fails in this process, by whatever way it is tried.
    """
    index = read_policy(cwd).apply(read_index())
    guard.refuse(index.found)
    return index


def read_policy(cwd: Path | None = None) -> Policy:
    """The policy of the machine, the project and the environment variable together.

    Raises :class:`ft.errors.InputError` for a file that is wrong. A set or a lock that cannot
    be read is no error here: it lets nothing in, and says why.
    """
    rules = Rules()
    folder = (cwd or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE).is_file():
            rules = parse_rules(candidate / FILE)
            folder = candidate
            break
    machine = machine_file()
    if machine.is_file():
        rules = parse_rules(machine).over(rules)
    rules = rules.over(Rules(mode=_asked_for()))
    policy = Policy(rules)
    if policy.mode == "open":
        return policy
    policy = _with_set(policy)
    if policy.mode == "locked" and rules.mode:
        from ft.environment.lock import LOCK
        from ft.environment.locked import read_seals

        file = Path(rules.lock.pattern) if rules.lock else folder / LOCK
        policy = replace(policy, seals=read_seals(file, rules.mode))
    return policy


def machine_file() -> Path:
    """Where the machine-wide policy lies, if there is one (``FT_MACHINE_POLICY``)."""
    override = os.environ.get("FT_MACHINE_POLICY")
    if override:
        return Path(override)

    from platformdirs import site_config_dir

    return Path(site_config_dir("ft", appauthor=False)) / FILE


def _asked_for() -> Entry | None:
    """The mode of the environment variable."""
    mode = os.environ.get(VARIABLE)
    if not mode:
        return None
    if mode not in MODES:
        raise InputError(f"{mode!r} is no mode", where=VARIABLE, hint=f"modes: {', '.join(MODES)}")
    return Entry(mode, VARIABLE)


def _is_within(version: str, wanted: str) -> bool:
    try:
        return satisfies(version, wanted)
    except ValueError:
        return False  # a range that cannot be understood lets nothing in


def _with_set(policy: Policy) -> Policy:
    """The policy with what its set names; includes are resolved by the registry."""
    permitted = policy.rules.permitted
    if permitted is None:
        return policy
    allow, grants = permitted.allow or (), tuple(entry.pattern for entry in permitted.grants)
    if permitted.set is None:
        return replace(policy, allow=allow, grants=grants)

    from ft.registry.read import read_registries, read_set

    try:
        chosen = read_set(permitted.set.pattern, read_registries())
    except FtError as error:
        fault = f"{permitted.set.where}: the set cannot be read: {str(error).splitlines()[0]}"
        return replace(policy, allow=allow, grants=grants, fault=fault)
    more = tuple(Entry(pattern, str(chosen.source)) for pattern in chosen.allow)
    return replace(
        policy, versions=chosen.plugins, allow=allow + more, grants=(*grants, *chosen.grants)
    )
