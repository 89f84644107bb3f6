"""A team's road: wheels alone, the kit, a lock, a second environment, and a changed byte."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
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
SET = ROOT / "registry" / "src" / "ft_registry" / "sets" / "starter.toml"
STARTER = sorted(tomllib.loads(SET.read_text("utf-8"))["plugins"])


def fresh(place: Path, name: str, like: Machine) -> Machine:
    """A machine with an environment of its own in which nothing is installed."""
    path = os.pathsep.join((str(UV.parent), like.environment["PATH"]))
    environment = {**like.environment, "VIRTUAL_ENV": str(place / name), "PATH": path}
    made = replace(like, venv=place / name, environment=environment)
    made.run(UV, "venv", "--quiet", "--python", sys.executable, made.venv, cwd=place)
    return made


def trains(machine: Machine, place: Path) -> None:
    """A run on a tiny model, in a folder of its own."""
    if not (place / "model").exists():
        tiny.write_tiny(place / "model", "smollm2", "llama")
        (place / "train.jsonl").write_text(ROW * 8, encoding="utf-8")
        (place / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    machine.run("ft", "train", "recipe.yaml", cwd=place)


@pytest.fixture(scope="module")
def office(
    machine: Machine, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Machine, Path]:
    """A machine with ``starter`` from wheels alone, and a team's folder with the page's set."""
    place = tmp_path_factory.mktemp("office")
    made = fresh(place, "venv", machine)
    (core,) = wheels.glob("ft_core-*")
    others = [next(wheels.glob(f"{n.replace('-', '_')}-0*")) for n in ("ft-registry", *STARTER)]
    made.install(f"{core}[conformance]", *others, cwd=place)
    shown = dict(re.findall(r"^```(text|toml)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))
    (place / "team").mkdir()
    (place / "team" / "set.toml").write_text(shown["text"], encoding="utf-8")
    # the last of the page's, which asks for mode locked
    (place / "ft.toml").write_text(shown["toml"], encoding="utf-8")
    return made, place


def test_the_starter_set_works_from_wheels_alone(
    office: tuple[Machine, Path], tmp_path: Path
) -> None:
    """It is listed, trains, and the kit proves one of each kind (each plugin's own tests prove
    that plugin); nothing of the checkout is on the path.
    """
    machine, _ = office
    assert machine.distributions() == {"ft-core", "ft-registry", *STARTER}
    listed = json.loads(machine.run("ft", "plugins", "list", "--json", cwd=tmp_path))
    assert {entry["state"] for entry in listed} == {"ok"}
    assert {Path(entry["location"]).is_relative_to(machine.venv) for entry in listed} == {True}
    trains(machine, tmp_path)
    ids = {entry["kind"]: f"{entry['kind']}:{entry['name']}" for entry in listed}.values()
    machine.run("ft", "plugins", "test", *ids, "--json", "report.json", cwd=tmp_path)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert Path(report["core"]["path"]).is_relative_to(machine.venv)
    found = {plugin["plugin"]: plugin["level"] for plugin in report["plugins"]}
    assert found == dict.fromkeys(ids, 2)


def test_a_second_environment_is_the_same_until_a_byte_changes(
    office: tuple[Machine, Path], wheels: Path
) -> None:
    first, place = office
    found = ["--find-links", wheels]
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
    trains(second, place)

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
