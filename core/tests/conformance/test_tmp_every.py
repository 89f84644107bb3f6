"""Temporary: the mutants of three files alone."""
import importlib, sys
from pathlib import Path
import pytest
FOLDER = Path(__file__).parent / "mutants"
sys.path.insert(0, str(FOLDER))
for n in ("broken_listed", "broken_loads", "broken_every"):
    importlib.import_module(n)
from mutant import MUTANTS
MINE = [m for m in MUTANTS.values() if m.value.split(":")[0] in ("broken_listed","broken_loads","broken_every") or m.value.startswith("made_")]
@pytest.mark.parametrize("mutant", MINE, ids=lambda m: f"{m.kind}-{m.name}")
def test_mine(mutant, outcomes, monkeypatch):
    found = outcomes(mutant, mutant.level)
    failed = {id: o.message for id, o in found.items() if o.counts_against}
    print(mutant.name, failed)
    assert failed.keys() == mutant.fails, failed
