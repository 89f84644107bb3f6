"""Installing and removing plugins: names become distributions, and uv or pip does the work.

Whatever else is installed keeps its version, so that a plugin cannot move torch: it is pinned in
a constraints file. ft's own distributions may move, since a plugin may ask for a later core.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence

from ft.environment.resolve import CORE
from ft.environment.uv import find_uv
from ft.errors import InputError
from ft.plugins import requirement
from ft.plugins.index import Index, check_kind
from ft.plugins.record import normalize
from ft.plugins.scan import Place
from ft.registry.entry import DISTRIBUTION
from ft.registry.lookalike import lookalike
from ft.registry.read import FIRST
from ft.registry.search import Catalogue


def distributions_to_add(
    names: Iterable[str], catalogue: Catalogue, unlisted: bool = False
) -> list[str]:
    """The distributions that ``names`` (``kind:name`` or a distribution) mean, sorted.

    What is neither installed nor in a registry needs ``unlisted``.
    Raises :class:`ft.errors.InputError`, also for what an advisory leaves no good version of.
    """
    found = sorted({_to_add(name, catalogue, unlisted) for name in names})
    for advisory in catalogue.advisories:
        if advisory.distribution in found and not advisory.lowest_good:
            raise InputError(
                f"no version of {advisory.distribution} is good: {advisory.reason}",
                where=str(advisory.source),
                hint=advisory.link or None,
            )
    return found


def distributions_to_remove(names: Iterable[str], index: Index) -> list[str]:
    """The installed distributions that ``names`` mean, sorted.

    Raises :class:`ft.errors.InputError` for what is no plugin's, and for one that another
    plugin needs which stays.
    """
    leaving = {d for name in names for d in _to_remove(name, index)}
    needing = {
        (record.distribution, parsed[0])
        for record in index.records
        # what is damaged may say anything, and holds nobody back
        if record.distribution not in leaving and (record.state != "broken" or record.remembered)
        for parsed in map(requirement.parse, record.requires)
        if parsed and parsed[0] in leaving
    }
    if needing:
        staying, needed = min(needing)
        together = sorted(leaving | {distribution for distribution, _ in needing})
        raise InputError(
            f"{staying} needs {needed}",
            hint=f"remove them together: ft plugins remove {' '.join(together)}",
        )
    return sorted(leaving)


def constraints(
    path: Sequence[str], wanted: Iterable[str], catalogue: Catalogue, ranges: Mapping[str, str]
) -> list[str]:
    """The lines of a constraints file, under which ``wanted`` are installed.

    Each distribution along ``path`` is held at its version, save the wanted and those that hold
    installed plugins; ``ranges`` are those of the set that is in force. Versions that an
    advisory warns of are ruled out.
    """
    place = Place()
    for entry in path:
        place.add(entry)
    own = {known.record.distribution for known in catalogue.known.values() if known.installed}
    free = own | {CORE, FIRST, *wanted}
    pinned = {name: f"=={v}" for name, v in place.versions.items() if v and name not in free}
    # an advisory for what may not move would only keep everything from being installed
    good = [
        (advisory.distribution, f">={advisory.lowest_good}")
        for advisory in catalogue.advisories
        if advisory.lowest_good and advisory.distribution not in pinned
    ]
    lines = [*pinned.items(), *ranges.items(), *good]
    return sorted({f"{name}{versions}" for name, versions in lines})


def installer(action: str) -> list[str]:
    """The beginning of the command that installs or uninstalls: ``action`` of uv or of pip.

    Raises :class:`ft.errors.InputError` where neither is there.
    """
    if uv := find_uv():
        return [uv, "pip", action, "--python", sys.executable]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", action, *(["--yes"] if action == "uninstall" else [])]
    raise InputError(
        "neither uv nor pip is there to install with",
        hint="uv's manual says how to get it; pip comes with: python -m ensurepip",
    )


def _to_add(name: str, catalogue: Catalogue, unlisted: bool) -> str:
    kind, colon, bare = name.partition(":")
    if colon:
        check_kind(kind)
        found = sorted({known.record.distribution for known in catalogue.named(kind, bare)})
        if len(found) > 1:
            raise InputError(
                f"{' and '.join(found)} both provide {name}",
                hint=f"name the distribution: ft plugins add {found[0]}",
            )
        if found:
            return found[0]
        name = f"ft-{kind}-{bare}"
    if not DISTRIBUTION.fullmatch(name):
        raise InputError(
            f"{name!r} is neither a plugin's name nor a distribution's",
            hint="such as KIND:NAME or ft-KIND-NAME; ft plugins search WORDS finds them",
        )
    wanted = normalize(name)
    if unlisted or wanted in catalogue.distributions:
        return wanted
    if meant := dict.fromkeys(
        k.record.id for k in catalogue.known.values() if k.record.name == name
    ):
        raise InputError(
            f"{name} is the name of a plugin, and of no distribution in a registry",
            hint=f"did you mean {' or '.join(meant)}?",
        )
    hint = f"if that is what you mean and you trust it: ft plugins add {wanted} --unlisted"
    if like := lookalike(wanted, catalogue.distributions):
        raise InputError(
            f"{name} is in no registry, and looks like {like}",
            hint=f"did you mean {like}? Names like those of others are used to deceive; {hint}",
        )
    raise InputError(f"{name} is in no registry", hint=hint)


def _to_remove(name: str, index: Index) -> set[str]:
    kind, colon, bare = name.partition(":")
    if colon:
        check_kind(kind)
        found = {record.distribution for record in index.claims(kind, bare)}
    else:
        found = {normalize(name)} & {record.distribution for record in index.records}
    if not found:
        meant = dict.fromkeys(record.id for record in index.records if record.name == name)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "ft plugins list shows all"
        raise InputError(f"no installed plugin is {name}", hint=hint)
    if len(found) > 1:
        raise InputError(
            f"{' and '.join(sorted(found))} both provide {name}",
            hint=f"name the distribution: ft plugins remove {min(found)}",
        )
    return found
