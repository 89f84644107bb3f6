"""The pages that are made from the plugins are those of the plugins as they are."""

from __future__ import annotations

import runpy
import tomllib
from typing import Any

import pytest
from checkout import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def compute() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "compute.py"))


@pytest.fixture(scope="module")
def made(compute: dict[str, Any]) -> dict[str, str]:
    return compute["pages"]()


@pytest.mark.parametrize("name", ["models.md", "methods.md", "templates.md"])
def test_a_table_is_current(name: str, made: dict[str, str]) -> None:
    found = (DOCS / name).read_text(encoding="utf-8")
    assert found == made[name], f"docs/{name} is behind: python docs/compute.py"


def test_each_family_has_a_page_that_is_current(made: dict[str, str]) -> None:
    found = {f"models/{f.name}": f.read_text("utf-8") for f in (DOCS / "models").glob("*.md")}
    wanted = {name: text for name, text in made.items() if name.startswith("models/")}
    behind = {name for name in found | wanted if found.get(name) != wanted.get(name)}
    assert not behind, f"{sorted(behind)} are behind: python docs/compute.py"


def test_a_page_shows_what_is_learnt(made: dict[str, str]) -> None:
    """Each answer of the example is marked, and nothing that the user says."""
    for name, text in made.items():
        if not name.startswith("models/") or "```diff" not in text:
            continue
        learnt = [line for line in text.splitlines() if line.startswith("+ ")]
        assert sum("A small animal." in line for line in learnt) == 1, name
        assert sum("Another one." in line for line in learnt) == 1, name
        assert not any("And a dog?" in line or "Be brief." in line for line in learnt), name


def test_reasons_why_families_are_not_reached_hold(compute: dict[str, Any]) -> None:
    """What is said of transformers is what it says itself."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    entries = tomllib.loads((DOCS / "unreached.toml").read_text(encoding="utf-8"))
    for name, entry in entries.items():
        why, types = entry["why"], set(entry["model_types"])
        assert why in compute["REASONS"], name
        assert entry["checkpoints"], name
        known = bool(types & set(CONFIG_MAPPING_NAMES))
        assert known == (why not in ("remote-code", "not-public")), f"{name}: {why}, {types}"
        assert bool(types) == (why != "not-public"), name
