"""Plugins of ``contrib/``: built, installed, proved and tested as an outsider's are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from checkout import ROOT
from machine import Machine, wheel

PROJECTS = sorted(file.parent for file in (ROOT / "contrib").glob("*/*/pyproject.toml"))
TUTORIAL = ROOT / "docs" / "tutorial.md"
SHOWN = ROOT / "contrib" / "model" / "refrain"


@pytest.fixture(scope="module")
def equipped(machine: Machine, wheels: Path) -> Machine:
    """The machine with the wheels of all first-party plugins."""
    machine.install(*sorted(set(wheels.glob("*.whl")) - set(wheels.glob("ft_core-*"))), cwd=wheels)
    return machine


@pytest.mark.parametrize("project", PROJECTS, ids=lambda p: p.name)
def test_its_own_tests_pass_from_the_wheel(
    project: Path, equipped: Machine, tmp_path: Path
) -> None:
    """The kit among them; the tests lie where nothing of the checkout is on the path."""
    built = wheel(equipped, project, tmp_path / "dist")
    equipped.install(built, cwd=tmp_path)
    shutil.copytree(project / "tests", tmp_path / "tests")
    equipped.run("pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=tmp_path)


def test_the_tutorial_shows_lines_of_the_finished_package() -> None:
    """Import lines aside, which the page shortens."""
    files = [file for suffix in ("py", "jinja", "toml") for file in SHOWN.rglob(f"*.{suffix}")]
    lines = {line.strip() for file in files for line in file.read_text("utf-8").splitlines()}
    blocks = re.findall(
        r"^```(?:python|jinja|toml)\n(.*?)^```$", TUTORIAL.read_text("utf-8"), re.M | re.S
    )
    shown = [line.strip() for block in blocks for line in block.splitlines()]
    assert len(shown) > 50
    odd = [line for line in shown if line not in lines and not re.match(r"(from|import) ", line)]
    assert odd == []
