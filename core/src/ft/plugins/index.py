"""The installed plugins, known from metadata alone.

``records`` of an :class:`Index` are ordered by kind and name. Two distributions that claim
one kind and name are in conflict until ``prefer`` in ft.toml chooses, or a recipe writes
``distribution/name``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ft.errors import InputError, PluginError
from ft.plugins import health
from ft.plugins.record import Record, State, normalize
from ft.plugins.scan import MatchEntry, scan

__all__ = ["Index", "MatchEntry", "Record", "State", "normalize", "read_index"]


def read_index(path: Sequence[str] | None = None) -> Index:
    """The plugins along ``path`` (``sys.path`` by default), with no policy applied."""
    records, matches = scan(sys.path if path is None else path)
    return Index(health.recall(records), matches)


class Index:
    """Plugin records, and ways to find one.

    ``found`` are records as they were read or permitted; ``records`` the same with conflicts
    settled. ``prefer`` maps ``kind:name`` to the distribution whose plugin counts and the
    place (``ft.toml:6``) that says so.
    """

    def __init__(
        self,
        found: Sequence[Record],
        matches: Sequence[MatchEntry] = (),
        prefer: Mapping[str, tuple[str, str]] | None = None,
    ):
        self.found = sorted(found, key=lambda r: (r.kind, r.name, r.distribution))
        self.matches = list(matches)
        self._by_id: dict[str, list[Record]] = defaultdict(list)
        for record in self.found:
            self._by_id[record.id].append(record)
        for id, claims in self._by_id.items():
            if len(claims) > 1:
                self._by_id[id] = _settle(claims, (prefer or {}).get(id))
        self.records = [record for claims in self._by_id.values() for record in claims]
        self._by_object: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in self.records:
            self._by_object[record.distribution, record.value].append(record)
        self._keys: dict[tuple[str, str], list[str]] = defaultdict(list)
        for entry in self.matches:
            self._keys[entry.distribution, entry.value].append(f"{entry.group} {entry.key}")

    def claims(self, kind: str, name: str) -> list[Record]:
        """Every record of a kind and name, whatever its state; ``name`` may be ``dist/name``."""
        distribution, slash, bare = name.rpartition("/")
        if not slash:
            return list(self._by_id.get(f"{kind}:{name}", ()))
        # as found: who names the distribution has settled the conflict
        wanted = normalize(distribution)
        return [r for r in self.found if (r.kind, r.name, r.distribution) == (kind, bare, wanted)]

    def find(self, kind: str, name: str) -> Record:
        """The plugin that a recipe means by ``name``, ready to be loaded.

        Raises :class:`ft.errors.InputError` where none is installed or the one that is cannot
        be used. A plugin that failed to import before is returned: it may work by now.
        """
        claims = self.claims(kind, name)
        if not claims:
            raise self._unknown(kind, name)
        # of rivals, an error suggests the one that is named as a plugin of ft is
        usual = f"ft-{kind}-{normalize(name)}"
        record = min(claims, key=lambda r: (_FIRST.index(r.state), r.distribution != usual))
        check_usable(record)
        return record

    def match(self, group: str, key: str | Collection[str]) -> list[Record]:
        """The plugins that ``key`` leads to in the entry-point group ``ft.match.<group>``.

        Only the closest are returned: for ``columns`` (``key`` is the set of a row's columns)
        those that name most of them, for ``checkpoint`` those with the longest pattern.
        Plugins that cannot be used count only where there is no other, so that
        loading one says what is wrong with it.
        """
        usable: dict[int, dict[tuple[str, str], Record]] = defaultdict(dict)
        others: dict[int, dict[tuple[str, str], Record]] = defaultdict(dict)
        for entry in self.matches:
            closeness = _closeness(entry, key) if entry.group == group else 0
            if closeness:
                for record in self._by_object.get((entry.distribution, entry.value), ()):
                    side = others if record.state in _UNUSABLE else usable
                    side[closeness][record.distribution, record.id] = record
        side = usable or others
        return list(side[max(side)].values()) if side else []

    def keys(self, record: Record) -> list[str]:
        """The match keys that lead to a plugin, such as ``model_type qwen3``."""
        return self._keys.get((record.distribution, record.value), [])

    def _unknown(self, kind: str, name: str) -> InputError:
        from difflib import get_close_matches

        check_kind(kind)
        distribution, _, bare = name.rpartition("/")
        bare_claims = self._by_id.get(f"{kind}:{bare}", ())
        if distribution and bare_claims:
            owners = " and ".join(r.distribution for r in bare_claims)
            return InputError(
                f"{distribution} has no {kind} {bare!r}", hint=f"{kind}:{bare} comes from {owners}"
            )
        hint = _where_to_get(kind, bare, distribution)
        names = list(dict.fromkeys(r.name for r in self.records if r.kind == kind))
        close = get_close_matches(bare, names, 1)
        if close:
            hint = f"did you mean {close[0]}?\n  {hint}"
        elif names:
            shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
            hint = f"installed: {shown}\n  {hint}"
        return InputError(f"no {kind} {name!r} is installed", hint=hint)


def _where_to_get(kind: str, name: str, distribution: str) -> str:
    """Which distribution provides a plugin that is not installed, as registries say."""
    from ft.registry.read import read_registries

    try:
        listed = read_registries().published
    except InputError as error:  # what is wrong with a registry must not hide what is wrong here
        return f"which distribution has it is not known: {error}"
    found = {
        entry.distribution: str(entry.source)
        for entry in reversed(listed)
        if any((plugin.kind, plugin.name) == (kind, name) for plugin in entry.plugins)
        and entry.distribution == (normalize(distribution) or entry.distribution)
    }
    if not found:
        wanted = distribution or f"ft-{kind}-{normalize(name)}"
        return f"no registry lists it; if you know {wanted}: ft plugins add {wanted} --unlisted"
    wanted = f"{kind}:{name}" if len(found) == 1 else "DISTRIBUTION"
    provided = " and ".join(f"{entry} ({source})" for entry, source in sorted(found.items()))
    return f"{provided} provides it: ft plugins add {wanted}"


def check_kind(kind: str) -> None:
    """Raise :class:`ft.errors.InputError` for a kind that this core does not have."""
    from difflib import get_close_matches

    from ft.kinds import KINDS

    if kind not in KINDS:
        close = get_close_matches(kind, KINDS, 1)
        raise InputError(
            f"ft has no kind of plugin {kind!r}",
            hint=f"did you mean {close[0]}?" if close else f"kinds: {', '.join(KINDS)}",
        )


def check_usable(record: Record) -> None:
    """Raise what keeps a plugin from being loaded, if its record tells."""
    if record.state == "ok" or record.remembered:
        return
    where = f"{record.distribution} {record.version}".strip()
    if record.state == "broken":
        raise PluginError(
            record.id,
            f"cannot be loaded: {record.reason}",
            where=where,
            hint=f"install it again: pip install --force-reinstall {record.distribution}",
        )
    message, hint = {
        "denied": (
            f"{record.id} is not permitted: {record.reason}",
            f"choose another: ft plugins list --kind {record.kind}",
        ),
        "incompatible": (
            f"{record.id} does not fit: {record.reason}",
            f"another version may: pip install --upgrade {record.distribution}",
        ),
        "missing-dependency": (
            f"{record.id} cannot be loaded: {record.reason}",
            f"install what is missing: pip install {record.distribution}",
        ),
        "conflict": (
            f"{record.id} is {record.reason.partition(';')[0]}",
            "choose one in ft.toml:\n    [plugins]\n"
            f'    prefer = {{"{record.id}" = "{record.distribution}"}}\n'
            f"  or write {record.distribution}/{record.name} in place of {record.name}",
        ),
        "shadowed": (
            f"{record.id} of {record.distribution} is not used: {record.reason}",
            f"write {record.distribution}/{record.name} to use it all the same",
        ),
    }[record.state]
    raise InputError(message, where=None if record.state == "conflict" else where, hint=hint)


_UNUSABLE = {"denied", "incompatible", "missing-dependency", "shadowed"}
# of several claims to one name, the one that says most about what will happen
_FIRST = ("conflict", "ok", "broken", "missing-dependency", "incompatible", "denied", "shadowed")


def _settle(claims: Sequence[Record], choice: tuple[str, str] | None) -> list[Record]:
    """Mark the claims to one kind and name, of which at most one can be meant."""
    # what was denied, or made for another core, claims nothing here
    rivals = [r for r in claims if r.state not in ("denied", "incompatible")]
    if len(rivals) < 2:
        return list(claims)
    chosen, where = choice or ("", "")
    if chosen not in [r.distribution for r in rivals]:
        owners = " and ".join(r.distribution for r in rivals)
        state: State = "conflict"
        reason = f"claimed by {owners}; prefer in ft.toml settles it"
        chosen = ""
    else:
        state, reason = "shadowed", f"{where} prefers {chosen}"
    return [
        replace(r, state=state, reason=reason, remembered=False)
        if r in rivals and r.distribution != chosen and (chosen or r.state == "ok" or r.remembered)
        else r
        for r in claims
    ]


def _closeness(entry: MatchEntry, key: str | Collection[str]) -> int:
    """How closely a match entry fits a key; 0 where it does not."""
    if entry.group == "columns":
        columns = set(entry.key.split("+"))
        return len(columns) if columns <= set(key) else 0
    if entry.group == "checkpoint":
        return len(entry.key) if fnmatchcase(str(key), entry.key) else 0
    return int(entry.key == key)
