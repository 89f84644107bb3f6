"""Every mutant fails exactly the checks that are meant to find it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ft.conformance.check import checks

FOLDER = Path(__file__).parent / "mutants"
sys.path.insert(0, str(FOLDER))
for _file in sorted(FOLDER.glob("broken_*.py")):
    importlib.import_module(_file.stem)
from mutant import MUTANTS, Mutant  # noqa: E402


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(m, id=f"{m.kind}-{m.name}", marks=pytest.mark.xdist_group(f"mutants {m.kind}"))
        for m in MUTANTS.values()
    ],
)
def test_a_mutant_fails_the_checks_that_are_meant_to_find_it(
    mutant: Mutant, outcomes: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # level 3 as on a machine whose accelerator is its CPU
    monkeypatch.setenv("FT_KIT_DEVICE", "cpu:0")
    found = outcomes(mutant, mutant.level)
    failed = {id: o.message for id, o in found.items() if o.counts_against}
    assert failed.keys() == mutant.fails, failed


def test_every_check_has_a_mutant() -> None:
    found = frozenset[str]().union(*(m.fails for m in MUTANTS.values()))
    assert found <= checks().keys(), found - checks().keys()
    assert checks().keys() - found == set()


def test_there_are_sixty() -> None:
    assert len(MUTANTS) >= 60
