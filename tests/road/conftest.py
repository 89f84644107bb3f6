"""A fresh machine for the road's tests, made once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT
from machine import UV, Machine, wheel


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheels of all distributions of the workspace."""
    out = tmp_path_factory.mktemp("wheels")
    command = ["build", "--quiet", "--no-sources", "--all-packages", "--wheel", "--out-dir", out]
    subprocess.run([UV, *command], cwd=ROOT, check=True)
    return out


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The wheels of core, with its extra ``conformance``, and of the registry that it requires."""
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
    registry = wheel(machine, ROOT / "registry", place / "registry")
    machine.install(f"{core}[conformance]", registry, cwd=place)
    assert machine.distributions() == {"ft-core", "ft-registry"}
    return machine
