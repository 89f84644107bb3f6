"""What a repository with many plugins says once, in the wheels of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from ft.errors import InputError
from ft.registry.model import Registry
from ft.registry.publish import examine
from ft.registry.shared import shared_by
from ft.registry.wheel import Wheel, build_wheel

ROOT = """
[tool.ft.release]
authors = [{ name = "Acme", email = "ft@acme.example" }]
license-files = ["legal/LICENSE"]
urls = { Repository = "https://example.org/acme", "Home \\"page\\"" = "https://example.org" }
"""
PROJECT = """
[project] # the plugin's own
name = "ft-tracker-acme"
version = "0.3.0"
description = "Tells of each step"
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = ["ft-core>=0.1,<1"]

[project.entry-points."ft.tracker"]
acme = "ft_tracker_acme:tracker"

[build-system]
requires = ["uv_build>=0.9,<0.14"]
build-backend = "uv_build"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A plugin's project below a repository's root, with nothing that the root says."""
    folder = tmp_path / "repository" / "plugins" / "acme"
    package = folder / "src" / "ft_tracker_acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("tracker = None\n")
    (folder / "pyproject.toml").write_text(PROJECT)
    root = tmp_path / "repository"
    (root / "legal").mkdir()
    (root / "legal" / "LICENSE").write_text("You may.\n")
    (root / "pyproject.toml").write_text(ROOT)
    (root / "CHANGELOG.md").write_text("## 0.3.0\n")
    return folder


def problems(folder: Path, wheel: Wheel) -> list[str]:
    found = [finding for finding in examine(folder, wheel, Registry(), None) if not finding.ok]
    # that no registry is installed is told as well
    return [finding.message for finding in found if finding.check != "name"]


def test_a_wheel_has_what_its_repository_says(project: Path, tmp_path: Path) -> None:
    before = {file: file.read_text() for file in project.rglob("*") if file.is_file()}
    wheel = build_wheel(project, tmp_path / "dist")
    assert problems(project, wheel) == []
    assert wheel.header("Author-email") == "Acme <ft@acme.example>"
    assert wheel.headers("Project-URL") == [
        "Repository, https://example.org/acme",
        'Home "page", https://example.org',
    ]
    assert "ft_tracker_acme-0.3.0.dist-info/licenses/LICENSE" in wheel.names
    readme = str(wheel.metadata.get_payload())
    assert readme.startswith("# ft-tracker-acme\n\nTells of each step\n")
    assert "    ft plugins info tracker:acme\n" in readme
    # the project itself is left as it was
    assert {file: file.read_text() for file in project.rglob("*") if file.is_file()} == before


def test_what_a_project_says_itself_stays(project: Path, tmp_path: Path) -> None:
    own = 'authors = [{ name = "Ada" }]\nreadme = "ABOUT.md"\nlicense-files = ["MINE"]\n'
    text = PROJECT.replace('license = "', f'{own}license = "')
    (project / "pyproject.toml").write_text(
        f'{text}\n[project.urls]\nSource = "https://example.org/ada"\n'
    )
    (project / "ABOUT.md").write_text("Mine.\n")
    (project / "MINE").write_text("You may not.\n")
    wheel = build_wheel(project, tmp_path / "dist")
    assert problems(project, wheel) == []
    assert (wheel.header("Author"), wheel.header("Author-email")) == ("Ada", "")
    assert wheel.headers("Project-URL") == ["Source, https://example.org/ada"]
    assert [name for name in wheel.names if "/licenses/" in name] == [
        "ft_tracker_acme-0.3.0.dist-info/licenses/MINE"
    ]
    assert str(wheel.metadata.get_payload()).strip() == "Mine."


def test_without_such_a_table_nothing_is_added(project: Path, tmp_path: Path) -> None:
    (tmp_path / "repository" / "pyproject.toml").write_text("[tool.other]\n")
    assert shared_by(project) is None
    said = " ".join(problems(project, build_wheel(project, tmp_path / "dist")))
    for lacking in ("no licence file", "no readme", "nobody answers", "where its source is"):
        assert lacking in said
    assert "nothing mentions 0.3.0" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('authors = "Acme"', "has authors = 'Acme'"),
        ('readme = "README.md"', "has readme = 'README.md'"),
        ('license-files = ["GONE"]', "the licence file GONE is not there"),
        ("authors = [", "cannot be read"),
    ],
)
def test_what_such_a_table_cannot_say(project: Path, text: str, said: str) -> None:
    file = project.parents[1] / "pyproject.toml"
    file.write_text(f"[tool.ft.release]\n{text}\n")
    with pytest.raises(InputError) as raised:
        shared_by(project)
    assert said in str(raised.value)
    assert str(file.resolve()) in str(raised.value)
