"""A team's road: a set, its lock, a second environment from wheels alone, and a changed byte."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from checkout import ROOT
from machine import UV, Machine

ROW = (
    '{"messages": [{"role": "user", "content": "Who are you?"},'
    ' {"role": "assistant", "content": "I am a small model."}]}\n'
)
RECIPE = """\
model: ./model
data: [train.jsonl]
adapter: {name: lora, rank: 4}
trainer: {name: sft, epochs: 1, max_length: 128}
optimizer: adamw
device: cpu
output: runs/first
"""
PAGE = ROOT / "docs" / "teams.md"


def fresh(place: Path, name: str, like: Machine) -> Machine:
    """A machine with an environment of its own in which nothing is installed."""
    path = os.pathsep.join((str(UV.parent), like.environment["PATH"]))
    environment = {**like.environment, "VIRTUAL_ENV": str(place / name), "PATH": path}
    made = replace(like, venv=place / name, environment=environment)
    made.run(UV, "venv", "--quiet", "--python", sys.executable, made.venv, cwd=place)
    return made


@pytest.fixture(scope="module")
def office(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Path]:
    """A machine with core and registry from wheels, and a team's folder with the page's set."""
    place = tmp_path_factory.mktemp("office")
    wheels = place / "wheels"
    build = ["build", "--quiet", "--no-sources", "--all-packages", "--wheel", "--out-dir", wheels]
    machine.run(UV, *build, cwd=ROOT)
    made = fresh(place, "venv", machine)
    made.install(*wheels.glob("ft_core-*"), *wheels.glob("ft_registry-*"), cwd=place)
    shown = dict(re.findall(r"^```(text|toml)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))
    (place / "team").mkdir()
    (place / "team" / "set.toml").write_text(shown["text"], encoding="utf-8")
    # the last of the page's, which asks for mode locked
    (place / "ft.toml").write_text(shown["toml"], encoding="utf-8")
    return made, place


def test_a_second_environment_is_the_same_until_a_byte_changes(
    office: tuple[Machine, Path],
) -> None:
    first, place = office
    found = ["--find-links", place / "wheels"]
    if "PIP_FIND_LINKS" in os.environ:
        found += ["--find-links", os.environ["PIP_FIND_LINKS"]]
    constraint = ["--constraint", ROOT / "constraints.txt"]
    first.run("ft", "env", "lock", "--keep", "torch", *found, *constraint, cwd=place)
    assert str(place) not in (place / "pylock.toml").read_text("utf-8")

    second = fresh(place, "second", first)
    python = second.venv / "bin" / "python"
    first.run("ft", "env", "sync", "--python", python, cwd=place)
    second.run("ft", "env", "verify", cwd=place)
    listed = json.loads(second.run("ft", "plugins", "list", "--json", cwd=place))
    assert {entry["state"] for entry in listed} == {"ok"}
    assert ("adapter", "lora") in {(entry["kind"], entry["name"]) for entry in listed}
    tiny.write_tiny(place / "model", "smollm2", "llama")
    (place / "train.jsonl").write_text(ROW * 8, encoding="utf-8")
    (place / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    second.run("ft", "train", "recipe.yaml", cwd=place)

    (file,) = second.venv.glob("lib/*/site-packages/ft_adapter_lora/__init__.py")
    text = file.read_text("utf-8")
    file.unlink()  # uv may have linked it to what it keeps
    file.write_text(f"{text}\nopen('imported', 'w').close()\n", encoding="utf-8")
    said = refused(second, "env", "verify", cwd=place)
    assert "ft_adapter_lora/__init__.py is not the file that was installed" in said
    assert refused(first, "env", "verify", "--python", python, cwd=place) == said
    again = refused(second, "train", "recipe.yaml", "output=runs/second", cwd=place)
    assert "ft_adapter_lora/__init__.py" in again
    assert not (place / "imported").exists()

    second.run("ft", "env", "sync", cwd=place)
    second.run("ft", "env", "verify", cwd=place)
    assert file.read_text("utf-8") == text


def refused(machine: Machine, *command: str | Path, cwd: Path) -> str:
    """Run ``ft``, which must leave with 1 or 2; what it says."""
    done = subprocess.run(
        [machine.venv / "bin" / "ft", *command],
        cwd=cwd,
        env=machine.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 2), done
    return done.stdout + done.stderr
