"""The road of an outside author, from nothing but the core's wheel to a plugin that is proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from machine import Machine, wheel

from ft.plugins.starter import starter_kinds


def walk(machine: Machine, work: Path, kind: str, *options: str) -> list[dict[str, Any]]:
    """The commands that ``ft plugins new`` names, with a wheel; what the kit found."""
    name = work.name
    machine.run("ft", "plugins", "new", kind, name, *options, cwd=work)
    project = work / f"ft-{kind}-{name}"
    built = wheel(machine, project, work / "dist")
    machine.install(f"{built}[test]", cwd=project)
    machine.run(
        *("ft", "plugins", "test", "--dist", project.name, "--json", work / "report.json"),
        cwd=project,
    )
    return json.loads((work / "report.json").read_text(encoding="utf-8"))["plugins"]


@pytest.mark.parametrize("kind", starter_kinds())
def test_a_new_plugin_is_correct_as_it_comes(machine: Machine, tmp_path: Path, kind: str) -> None:
    work = tmp_path / f"road-{kind}"
    work.mkdir()
    found = walk(machine, work, kind)
    assert f"{kind}:{work.name}" in {entry["plugin"] for entry in found}
    assert {entry["plugin"]: entry["level"] for entry in found} == {
        entry["plugin"]: 2 for entry in found
    }


def test_so_is_a_family_of_a_model_that_transformers_builds(
    machine: Machine, tmp_path: Path
) -> None:
    work = tmp_path / "road-data"
    work.mkdir()
    found = walk(machine, work, "model", "--model-type", "llama")
    assert [entry["level"] for entry in found] == [2] * len(found)


def test_its_own_tests_pass(machine: Machine, tmp_path: Path) -> None:
    """The two lines of ``tests/test_conformance.py``, as an author's CI runs them."""
    work = tmp_path / "road-tests"
    work.mkdir()
    walk(machine, work, "dataset")
    machine.run("pytest", "-q", cwd=work / "ft-dataset-road-tests")
