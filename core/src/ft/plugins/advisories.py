"""Advisories of the installed registries, held against what is installed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from ft.errors import FtError
from ft.plugins.record import Record
from ft.plugins.requirement import satisfies

if TYPE_CHECKING:
    from ft.registry.model import Advisory


@dataclass(frozen=True, slots=True)
class Advisories:
    """What there is to be warned of, by distribution; ``fault`` denies everything."""

    by_distribution: Mapping[str, Sequence[Advisory]] = field(default_factory=dict)
    fault: str = ""

    def denial(self, record: Record) -> str:
        """Why no plugin of the installed version may be loaded, or nothing."""
        for advisory in self.by_distribution.get(record.distribution, ()):
            if _is_good(record.version, advisory.lowest_good):
                continue
            good = f"{advisory.lowest_good} is good" if advisory.lowest_good else "none is good"
            parts = [f"advisory {advisory.id} ({advisory.source}): {advisory.reason}", good]
            return "; ".join([*parts, advisory.link] if advisory.link else parts)
        return self.fault


def read(path: Sequence[str] | None = None, *, required: bool = False) -> Advisories:
    """The advisories of all registries along ``path`` (``sys.path`` by default).

    A registry that cannot be read is told of once. Where advisories are ``required`` it denies
    every plugin, since nobody knows then what it would have said.
    """
    from ft.registry.read import read_advisories

    found: dict[str, list[Advisory]] = defaultdict(list)
    failed: list[FtError] = []
    for advisory in read_advisories(path, failed.append):
        found[advisory.distribution].append(advisory)
    faults = [f"advisories cannot be read: {str(error).splitlines()[0]}" for error in failed]
    if faults and required:
        return Advisories(fault=faults[0])
    for fault in faults:
        _warn(fault)
    return Advisories(found)


def _is_good(version: str, lowest_good: str) -> bool:
    if not lowest_good:
        return False
    try:
        return not satisfies(version, f"<{lowest_good}")
    except ValueError:
        return False  # what an advisory means that cannot be understood is not for us to guess


@cache
def _warn(message: str) -> None:
    """Tell a person, whatever the command prints; once for each message."""
    import logging

    logging.getLogger("ft").warning("%s; no plugin is denied for what they say", message)
