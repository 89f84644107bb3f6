"""The road of an outside author, from nothing but the core's wheel to a plugin that is proved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT

from ft.plugins.starter import starter_kinds

UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Machine:
    """An author's machine: an environment outside of the workspace, and a place to work."""

    venv: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, cwd: Path) -> str:
        """Run a command, which must succeed; its output."""
        program, *arguments = map(str, command)
        own = self.venv / "bin" / program
        done = subprocess.run(
            [own if own.exists() else program, *arguments],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program} {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, what: str, cwd: Path) -> None:
        """Install as ``pip install`` does, at the versions that this repository is tested with."""
        constraint = ["--constraint", ROOT / "constraints.txt"]
        self.run(UV, "pip", "install", "--quiet", *constraint, what, cwd=cwd)

    def distributions(self) -> set[str]:
        """The distributions of ft that are installed."""
        listed = json.loads(self.run(UV, "pip", "list", "--format", "json", cwd=self.venv))
        return {entry["name"] for entry in listed if entry["name"].startswith("ft-")}


def wheel(machine: Machine, project: Path, out: Path) -> Path:
    """Build a project's wheel into ``out``."""
    build = ["build", "--quiet", "--no-sources", "--wheel", "--out-dir", out]
    machine.run(UV, *build, project, cwd=out.parent)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The core's wheel with its extra ``conformance``, and nothing else of the workspace."""
    place = tmp_path_factory.mktemp("road")
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment = {
        **kept,
        # uv reads its own variable; where pip is given a folder of wheels, uv must see it too
        **({"UV_FIND_LINKS": kept["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in kept else {}),
        "VIRTUAL_ENV": str(place / "venv"),
        "FT_CACHE_DIR": str(place / "cache"),
        "FT_MACHINE_POLICY": str(place / "machine.toml"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
    }
    machine = Machine(place / "venv", environment)
    machine.run(UV, "venv", "--quiet", "--python", sys.executable, machine.venv, cwd=place)
    core = wheel(machine, ROOT / "core", place / "core")
    machine.install(f"{core}[conformance]", cwd=place)
    assert machine.distributions() == {"ft-core"}
    return machine


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
