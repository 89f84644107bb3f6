"""Broken and reference plugins as installed distributions, and the kit run on them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ft.conformance.outcome import Outcome
from ft.conformance.process import Limits
from ft.conformance.session import prove
from ft.plugins.index import read_index

MUTANTS = Path(__file__).parent / "mutants"


@pytest.fixture
def outcomes(site: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Outcome]]:
    """Install a declared plugin as a distribution and run the kit on it, in its processes."""
    monkeypatch.syspath_prepend(MUTANTS)

    def run(declared: Any, level: int = 2) -> dict[str, Outcome]:
        distribution = f"ft-{declared.kind}-{declared.name}"
        site.add(
            distribution,
            {f"{declared.kind}:{declared.name}": declared.value},
            headers=declared.headers,
            requires=declared.requires,
            summary=declared.summary,
            match=declared.match,
        )
        for name, text in declared.files.items():
            (site.path / name).write_text(text, encoding="utf-8")
        records = [
            record
            for record in read_index([str(site.path), *sys.path]).records
            if record.distribution == distribution
        ]
        (report,) = prove(records, level=level, limits=Limits(**declared.limits))
        return {outcome.check: outcome for outcome in report.outcomes}

    return run
