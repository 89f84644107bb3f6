"""``ft plugins add`` and ``remove`` with real wheels, in an environment of their own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from checkout import ROOT
from machine import UV, Machine, wheel

PROJECT = """
[project]
name = "{name}"
version = "{version}"
description = "Made for a test"
requires-python = ">=3.11"
dependencies = {needs}
{points}
[build-system]
requires = ["uv_build>=0.9,<0.14"]
build-backend = "uv_build"
"""
PLUGIN = "from ft.api import Tracker\n\n\nclass Made(Tracker):\n    pass\n\n\nplugin = Made()\n"


@pytest.fixture(scope="module")
def shop(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The machine with a library, and a folder of wheels: plugins, and the library's next version.

    ``made-plain`` is content with the library that is there, ``made-newer`` asks for the next.
    Both are in a registry that is installed, and ``ft-tracker-jsonl`` is in the project's own.
    """
    place = tmp_path_factory.mktemp("shop")
    wheels = place / "wheels"
    wheels.mkdir()

    def build(
        name: str, version: str, needs: list[str], points: str, files: dict[str, str]
    ) -> Path:
        project = place / f"{name}-{version}"
        package = project / "src" / name.replace("-", "_")
        for file, text in {"__init__.py": "", **files}.items():
            (package / file).parent.mkdir(parents=True, exist_ok=True)
            (package / file).write_text(text, encoding="utf-8")
        values = {"name": name, "version": version, "needs": json.dumps(needs), "points": points}
        text = PROJECT
        for key, value in values.items():
            text = text.replace(f"{{{key}}}", value)
        (project / "pyproject.toml").write_text(text, encoding="utf-8")
        built = wheel(machine, project, place / f"built-{name}-{version}")
        return built.rename(wheels / built.name)

    library = build("made-library", "1.0", [], "", {})
    build("made-library", "2.0", [], "", {})
    entries = {}
    for short, needs in (("plain", "made-library"), ("newer", "made-library>=2")):
        name = f"ft-tracker-made-{short}"
        points = f'[project.entry-points."ft.tracker"]\nmade-{short} = "{{}}:plugin"\n'
        module = name.replace("-", "_")
        build(name, "0.1.0", ["ft-core", needs], points.format(module), {"__init__.py": PLUGIN})
        entry = {
            "distribution": name,
            "summary": "Made for a test",
            "steward": "nobody",
            "licence": "MIT",
            "plugins": [{"kind": "tracker", "name": f"made-{short}"}],
        }
        entries[f"plugins/{name}.json"] = json.dumps(entry)
    points = '[project.entry-points."ft.registry"]\nmade = "made_registry"\n'
    registry = build("made-registry", "1.0", [], points, entries)
    wheel(machine, ROOT / "plugins" / "tracker" / "jsonl", place / "jsonl").rename(
        wheels / "ft_tracker_jsonl-0.1.0-py3-none-any.whl"
    )
    (place / "bin").mkdir()
    (place / "bin" / "uv").symlink_to(UV)
    environment = dict(machine.environment)
    environment["PATH"] = f"{place / 'bin'}:{environment['PATH']}"
    for variable, separator in (("UV_FIND_LINKS", ","), ("PIP_FIND_LINKS", " ")):
        former = environment.get(variable)
        environment[variable] = separator.join([str(wheels), *([former] if former else [])])
    shop = replace(machine, environment=environment)
    shop.run(UV, "pip", "install", "--quiet", library, registry, cwd=place)
    return shop


def versions(shop: Machine) -> dict[str, str]:
    listed = json.loads(shop.run(UV, "pip", "list", "--format", "json", cwd=shop.venv))
    return {entry["name"]: entry["version"] for entry in listed}


def plugins(shop: Machine, cwd: Path) -> set[str]:
    rows = json.loads(shop.run("ft", "plugins", "list", "--json", cwd=cwd))
    return {f"{row['kind']}:{row['name']}" for row in rows if row["state"] == "ok"}


def refused(shop: Machine, *command: str, cwd: Path) -> str:
    """Run a command of ft that must fail; what it says."""
    done = subprocess.run(
        [shop.venv / "bin" / "ft", *command],
        cwd=cwd,
        env=shop.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_a_registry_lists_is_added_and_removed(shop: Machine, tmp_path: Path) -> None:
    before = versions(shop)
    names = ["tracker:made-plain", "ft-tracker-jsonl"]
    shop.run("ft", "plugins", "add", *names, "--dry-run", cwd=tmp_path)
    assert versions(shop) == before
    shop.run("ft", "plugins", "add", *names, cwd=tmp_path)
    # the later library is at hand, and stays where it is
    assert versions(shop) == {
        **before,
        "ft-tracker-made-plain": "0.1.0",
        "ft-tracker-jsonl": "0.1.0",
    }
    assert {"tracker:made-plain", "tracker:jsonl"} <= plugins(shop, tmp_path)
    shop.run("ft", "plugins", "remove", "tracker:made-plain", "tracker:jsonl", cwd=tmp_path)
    assert versions(shop) == before


def test_pip_does_it_where_uv_is_not(shop: Machine, tmp_path: Path) -> None:
    shop.run(UV, "pip", "install", "--quiet", "pip", cwd=tmp_path)
    without = replace(shop, environment={**shop.environment, "PATH": str(tmp_path)})
    before = versions(shop)
    without.run("ft", "plugins", "add", "tracker:made-plain", cwd=tmp_path)
    assert versions(shop) == {**before, "ft-tracker-made-plain": "0.1.0"}
    said = refused(without, "plugins", "add", "tracker:made-newer", cwd=tmp_path)
    assert "-m pip install --constraint" in said
    assert "made-library" in said
    without.run("ft", "plugins", "remove", "tracker:made-plain", cwd=tmp_path)
    assert versions(shop) == before


def test_a_plugin_cannot_move_what_is_installed(shop: Machine, tmp_path: Path) -> None:
    before = versions(shop)
    said = refused(shop, "plugins", "add", "tracker:made-newer", cwd=tmp_path)
    assert "made-library" in said
    assert versions(shop) == before


def test_a_lookalike_of_a_listed_name_is_not_installed(shop: Machine, tmp_path: Path) -> None:
    before = versions(shop)
    said = refused(shop, "plugins", "add", "ft-tracker-made-pIain", cwd=tmp_path)
    assert "looks like ft-tracker-made-plain" in said
    assert "looks like ft-tracker-jsonl" in refused(
        shop, "plugins", "add", "tracker:json1", cwd=tmp_path
    )
    assert versions(shop) == before
