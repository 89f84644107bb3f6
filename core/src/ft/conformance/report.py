"""What the kit found, as data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ft
from ft.conformance.check import KIT, checks, checks_for
from ft.conformance.outcome import Outcome, level_of
from ft.plugins.record import Record


@dataclass(frozen=True)
class PluginReport:
    """The outcomes of one plugin; ``tried`` is the level up to which it was examined."""

    record: Record
    outcomes: Sequence[Outcome]
    tried: int

    @property
    def level(self) -> int | None:
        """The level that is proved, ``None`` below level 0."""
        return level_of(self.record.kind, self.outcomes)

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.is_failure]


def reachable(kind: str) -> int:
    """The highest level that plugins of a kind have checks for."""
    return max(check.level for check in checks_for(kind))


def about() -> dict[str, Any]:
    """Which core and which kit, from which paths, on what machine, and when."""
    import platform

    return {
        "core": {"version": ft.__version__, "path": str(Path(ft.__file__).parent)},
        "kit": {"version": KIT, "path": str(Path(__file__).parent), "checks": len(checks())},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def as_json(reports: Sequence[PluginReport]) -> dict[str, Any]:
    """All that was found; ``level`` of a plugin is ``null`` below level 0."""
    return {
        **about(),
        "plugins": [
            {
                "plugin": report.record.id,
                "distribution": report.record.distribution,
                "version": report.record.version,
                "path": report.record.location,
                "files": digest_of(report.record),
                "level": report.level,
                "reachable": reachable(report.record.kind),
                "tried": report.tried,
                "checks": [asdict(outcome) for outcome in report.outcomes],
            }
            for report in reports
        ],
    }


def digest_of(record: Record) -> str:
    """SHA-256 over the installed files of a distribution, as its RECORD lists them.

    The same for the same wheel wherever it is installed; empty where files are not listed, as
    in an editable installation.
    """
    import csv

    listed = Path(record.location) / "RECORD"
    try:
        rows = list(csv.reader(listed.read_text(encoding="utf-8").splitlines()))
    except OSError:
        return ""
    own = sorted(
        f"{path}={digest}"
        for path, digest, *_ in rows
        if digest and not path.startswith("..") and ".dist-info/" not in path
    )
    return hashlib.sha256("\n".join(own).encode()).hexdigest() if own else ""


def figures(outcome: Mapping[str, Any] | Outcome) -> str:
    """The measures of an outcome in one line."""
    measures = outcome.measures if isinstance(outcome, Outcome) else outcome["measures"]
    return ", ".join(f"{name} {value:.4g}" for name, value in measures.items())


def remember(reports: Sequence[PluginReport]) -> None:
    """Keep the levels in the cache, so that listings show them (:mod:`ft.plugins.levels`)."""
    from ft.plugins import levels

    levels.learn([(r.record, levels.Level(r.level, KIT, about()["date"][:10])) for r in reports])
