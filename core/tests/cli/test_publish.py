"""``ft plugins publish``: what it says and leaves behind, from a real project to its entry."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ft.registry import read

FOLDER = Path("ft-adapter-my-way")
LISTED = [{"distribution": "ft-adapter-other", "plugins": [{"kind": "adapter", "name": "other"}]}]
CHECK = ("plugins", "publish", "--check", str(FOLDER))


@pytest.fixture
def ft(site, ft, monkeypatch: pytest.MonkeyPatch):
    """Commands see the registries of the site alone; a project is here that lacks its address."""
    every = read.read_registries
    monkeypatch.setattr(read, "read_registries", lambda: every([str(site.path)]))
    site.registry("ft-registry", {"first-party.json": json.dumps(LISTED)})
    assert ft("plugins", "new", "adapter", "my-way", "--author", "Ada").code == 0
    return ft


def complete() -> None:
    file = FOLDER / "pyproject.toml"
    file.write_text(f'{file.read_text()}\n[project.urls]\nSource = "https://example.org/ada"\n')


def test_uploading_is_left_to_the_workflow(ft) -> None:
    done = ft("plugins", "publish", str(FOLDER))
    assert done.code == 2
    assert f"a pushed tag then runs {FOLDER}/.github/workflows/publish.yml" in done.err
    assert not (FOLDER / "dist").exists()
    done = ft("plugins", "publish")
    assert done.code == 2
    assert ".github/workflows/publish.yml is not there" in done.err


def test_what_is_wrong_is_said_and_no_entry_written(ft) -> None:
    (FOLDER / "dist").mkdir()
    (FOLDER / "dist" / "ft-adapter-my-way.json").write_text("of another day")
    done = ft(*CHECK, "--no-kit")
    assert done.code == 1
    lines = done.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("wrong  metadata   it does not say where its source is")
    hint = next(number for number, line in enumerate(lines) if "add [project.urls]" in line)
    assert lines[hint].strip() == 'add [project.urls] with Repository = "https://…"'
    assert [line[:18].split() for line in lines[hint + 1 :]] == [
        *(["ok", check] for check in ("core", "plugins", "wheel", "name", "changelog"))
    ]
    assert [file.suffix for file in (FOLDER / "dist").iterdir()] == [".whl"]


def test_the_kit_proves_the_wheel_and_the_entry_says_so(ft) -> None:
    complete()
    done = ft(*CHECK, "--json")
    assert done.code == 0, done.out
    said = json.loads(done.out)
    assert {finding["check"] for finding in said["findings"] if finding["ok"]} >= {"kit", "name"}
    (proof,) = json.loads(Path(said["entry"]).read_text(encoding="utf-8"))["proofs"]
    digest = hashlib.sha256(Path(said["wheel"]).read_bytes()).hexdigest()
    assert proof["wheel"] == said["digest"] == f"sha256:{digest}"
    assert (proof["version"], proof["level"]) == ("0.1.0", 2)


def test_a_proof_from_elsewhere_reaches_the_kit(ft) -> None:
    complete()
    Path("report.json").write_text("{}")
    done = ft(*CHECK, "--proof", "report.json")
    assert done.code == 1
    assert "report.json: cannot be read as a report of the kit" in done.err


def test_where_the_entry_goes(ft) -> None:
    complete()
    done = ft(*CHECK, "--no-kit", "--output", "out")
    assert done.code == 0, done.out
    assert "wrote out/ft-adapter-my-way.json" in done.out
    assert "src/ft_registry/plugins/ft-adapter-my-way.json of ft-registry" in " ".join(
        done.out.split()
    )
    assert sorted(file.suffix for file in Path("out").iterdir()) == [".json", ".whl"]
