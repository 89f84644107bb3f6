"""Small preference, feedback and online trainers pass everything, as the reference does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "mutants"))
from mutant import Mutant


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("preferring", "trainer.raises-the-margin"),
        ("judging", "trainer.tells-good-from-bad"),
        ("online", "trainer.raises-the-reward"),
    ],
)
def test_a_trainer_of_another_type_passes_everything(
    name: str, method: str, outcomes: Callable
) -> None:
    found = outcomes(Mutant(name, "trainer", f"other_trainers:{name}", frozenset()))
    assert {id: o.message for id, o in found.items() if o.counts_against} == {}
    assert found[method].status == "passed"
