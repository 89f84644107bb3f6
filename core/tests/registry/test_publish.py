"""Wheels as they are built, each with one thing wrong; and the entry of one with nothing wrong."""

from __future__ import annotations

import email
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from checkout import ROOT

from ft.errors import InputError, RunError
from ft.plugins.starter import render_starter, write_starter
from ft.registry.entry import published
from ft.registry.model import Proof, Registry, Source
from ft.registry.publish import entry, examine
from ft.registry.wheel import Wheel, build_wheel, kit_report, read_wheel

REPOSITORY = "https://example.org/ada/my-way"
SCHEMA = ROOT / "registry" / "src" / "ft_registry" / "schema" / "published.json"
PYPROJECT, PACKAGE = "pyproject.toml", "src/ft_adapter_my_way"
REPORT = {
    "kit": {"version": "1.0"},
    "plugins": [{"plugin": "adapter:my-way", "level": 2, "files": "f" * 64, "checks": []}],
}


def listed(*entries: dict[str, Any]) -> Registry:
    """A registry that lists these, each with an adapter ``other`` unless it says otherwise."""
    plugins = [{"kind": "adapter", "name": "other"}]
    source = Source("ft-registry", "plugins/made.json")
    return Registry(tuple(published({"plugins": plugins, **e}, source) for e in entries))


OTHERS = listed({"distribution": "ft-adapter-other"})
OWN = {"distribution": "ft-adapter-my-way", "repository": f"{REPOSITORY}.git"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as ``ft plugins new`` writes it, with all that a release needs."""
    folder = tmp_path_factory.mktemp("projects") / "whole"
    write_starter(render_starter("adapter", "my-way", authors=["Ada <ada@example.org>"]), folder)
    file = folder / PYPROJECT
    file.write_text(f'{file.read_text()}\n[project.urls]\nRepository = "{REPOSITORY}"\n')
    return folder


@pytest.fixture(scope="module")
def whole(project: Path) -> Wheel:
    return build_wheel(project, project / "dist")


@pytest.fixture
def build(project: Path, tmp_path: Path) -> Callable[..., tuple[Path, Wheel]]:
    """``build((file, old, new), …)`` is the project with its files changed, and its wheel."""

    def build(*changes: tuple[str, str, str]) -> tuple[Path, Wheel]:
        folder = tmp_path / "project"
        write_starter(
            {
                str(file.relative_to(project)): file.read_text()
                for file in project.rglob("*")
                if file.is_file() and "dist" not in file.parts
            },
            folder,
        )
        for name, old, new in changes:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text() if file.exists() else ""
            assert old in text
            file.write_text(text.replace(old, new) if old else text + new)
        return folder, build_wheel(folder, tmp_path / "dist")

    return build


def wrong(folder: Path, wheel: Wheel, registry: Registry = OTHERS, report=None) -> list[str]:
    found = [f for f in examine(folder, wheel, registry, report) if not f.ok]
    assert all(finding.hint for finding in found)
    return [f"{finding.check}: {finding.message}" for finding in found]


def test_a_whole_release_has_every_check_once(project: Path, whole: Wheel) -> None:
    findings = examine(project, whole, OTHERS, REPORT)
    assert [f.check for f in findings if f.ok] == [
        *("metadata", "core", "plugins", "wheel", "name", "changelog", "kit")
    ]
    assert len(findings) == 7
    assert "kit" not in {f.check for f in examine(project, whole, OTHERS, None)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((PYPROJECT, 'license = "Apache-2.0"\n', ""), "metadata: there is no licence"),
        ((PYPROJECT, 'license-files = ["LICENSE"]', "license-files = []"), "no licence file"),
        ((PYPROJECT, 'readme = "README.md"\n', ""), "metadata: there is no readme"),
        ((PYPROJECT, 'requires-python = ">=3.11"\n', ""), "which Python it needs"),
        ((PYPROJECT, "Repository", "Homepage"), "metadata: it does not say where its source is"),
        ((PYPROJECT, 'description = "', 'description = "." # '), "metadata: the summary is '.'"),
        ((PYPROJECT, 'version = "0.1.0"', 'version = "0.1.0+mine"'), "is a local version"),
        ((PYPROJECT, "dependencies = [", "dependencies = [] # "), "does not require ft-core"),
        ((PYPROJECT, ">=0.1,<1", "==0.1.0"), "core: it requires ft-core==0.1.0"),
        ((PYPROJECT, ">=0.1,<1", ">=0.1"), "core: it requires ft-core>=0.1, which is no range"),
        ((PYPROJECT, '"ft.adapter"', '"ft.adaptor"'), "plugins: ft.adaptor is no kind of plugin"),
        ((PYPROJECT, "my-way = ", "My_Way = "), "plugins: adapter:My_Way is no plugin's name"),
        ((PYPROJECT, "ft_adapter_my_way:", "ft_gone:"), "ft_gone, which the wheel lacks"),
        (
            (PYPROJECT, "", '[project.entry-points."ft.match.scheme"]\na = "b:c"\n'),
            "plugins: scheme a leads to b:c, which is no plugin",
        ),
        ((f"{PACKAGE}/tests/test_it.py", "", "x = 1\n"), "wheel: it holds ft_adapter_my_way/tests"),
        ((f"{PACKAGE}/conftest.py", "", "x = 1\n"), "wheel: it holds ft_adapter_my_way/conftest"),
        (("CHANGELOG.md", "0.1.0", "0.1.01"), "changelog: nothing mentions 0.1.0: looked at CHA"),
    ],
)
def test_one_thing_wrong(build, change: tuple[str, str, str], said: str) -> None:
    assert said in wrong(*build(change))[0]


def test_someone_answers_for_it(build) -> None:
    name = '    { name = "Ada", email = "ada@example.org" },\n'
    assert wrong(*build((PYPROJECT, name, ""))) == ["metadata: nobody answers for it"]


def test_all_who_answer_for_it_are_named_once() -> None:
    for headers, steward in (
        ("Author: Ada B\nAuthor-email: Ada B <a@x.org>, Eve <e@x.org>\n", "Ada B, Eve"),
        ("Author-email: a@x.org\nMaintainer: The X team\n", "The X team, a@x.org"),
    ):
        metadata = email.message_from_string(f"Name: x\nVersion: 1\n{headers}")
        wheel = Wheel(Path("x.whl"), metadata, (), "", ())
        assert json.loads(entry(wheel, OTHERS, None))["steward"] == steward


def test_a_fragment_may_mention_the_version(build) -> None:
    gone = ("CHANGELOG.md", "## 0.1.0", "## Soon")
    assert wrong(*build(gone, ("changelog.d/1.md", "", "New in v0.1.0.\n"))) == []


def test_another_package_in_the_wheel_is_stray(build) -> None:
    backend = '\n[tool.uv.build-backend]\nmodule-name = ["ft_adapter_my_way", "tests"]\n'
    folder, wheel = build((PYPROJECT, "", backend), ("src/tests/__init__.py", "", "x = 1\n"))
    assert wrong(folder, wheel) == ["wheel: it holds tests"]


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        (Registry(), "name: no registry is installed, which says what is taken"),
        (listed(OWN), None),
        (
            listed({**OWN, "repository": "https://example.org/eve/my-way"}),
            "name: ft-adapter-my-way is listed by ft-registry: plugins/made.json, of "
            "https://example.org/eve/my-way",
        ),
        (
            listed({"distribution": "ft-adapter-my-way"}),
            "name: ft-adapter-my-way is listed by ft-registry: plugins/made.json, of a repository "
            "that it does not name",
        ),
        (
            listed({"distribution": "ft-adapter-rny-way"}),
            "name: ft-adapter-my-way could be taken for ft-adapter-rny-way",
        ),
        (listed({**OWN, "distribution": "ft-adapter-rny-way"}), None),
        (
            listed({"distribution": "x", "plugins": [{"kind": "adapter", "name": "my-way"}]}),
            "name: adapter:my-way is x's (ft-registry: plugins/made.json)",
        ),
    ],
)
def test_names(project: Path, whole: Wheel, registry: Registry, said: str | None) -> None:
    assert wrong(project, whole, registry) == ([said] if said else [])


def test_a_version_is_published_once(project: Path, whole: Wheel) -> None:
    proof = {"version": "0.1.0", "level": 1, "kit": "1.0", "wheel": f"sha256:{'0' * 64}"}
    assert wrong(project, whole, listed({**OWN, "proofs": [proof]})) == [
        "wheel: ft-registry: plugins/made.json proves 0.1.0 of another wheel"
    ]
    assert wrong(project, whole, listed({**OWN, "proofs": [proof | {"wheel": whole.digest}]})) == []
    assert wrong(project, whole, listed({**OWN, "proofs": [proof | {"version": "0.0.9"}]})) == []


def test_what_the_kit_found_counts(project: Path, whole: Wheel) -> None:
    failed = {"check": "gradients", "status": "failed", "message": "none arrive"}
    fixed = {"check": "saves", "status": "fixed", "message": "none arrive"}
    known = {"check": "merges", "status": "known", "message": "not yet"}
    plugin = REPORT["plugins"][0]
    for changed, said in (
        ({**plugin, "checks": [failed]}, "kit: adapter:my-way fails gradients: none arrive"),
        (
            {**plugin, "checks": [known, failed, fixed]},
            "kit: adapter:my-way fails gradients and 1 more: none arrive",
        ),
        ({**plugin, "level": None}, "kit: adapter:my-way reaches no level"),
    ):
        assert wrong(project, whole, report={**REPORT, "plugins": [changed]}) == [said]


def test_the_entry_is_what_a_registry_takes(whole: Wheel) -> None:
    """With what no wheel says kept from the entry before, and one proof of this version."""
    old = {"version": "0.0.9", "level": 1, "kit": "0.9", "wheel": f"sha256:{'1' * 64}"}
    before = {
        "kind": "adapter",
        "name": "my-way",
        "papers": ["arXiv:2106.09685"],
        "matches": {"checkpoint": ["ada/*"], "columns": ["gone"]},
    }
    again = {**old, "version": "0.1.0", "wheel": whole.digest}
    registry = listed({**OWN, "plugins": [before], "proofs": [old, again]})
    data = json.loads(entry(whole, registry, REPORT))
    jsonschema.validate(data, json.loads(SCHEMA.read_text(encoding="utf-8")))
    read = published(data, Source("", "made.json"))
    assert (read.distribution, read.repository) == ("ft-adapter-my-way", REPOSITORY)
    assert (read.steward, read.licence) == ("Ada", "Apache-2.0")
    (plugin,) = read.plugins
    assert (plugin.id, plugin.papers) == ("adapter:my-way", ("arXiv:2106.09685",))
    assert plugin.matches == (("checkpoint", "ada/*"),)
    assert read.proofs == (
        Proof("0.0.9", 1, "0.9", old["wheel"]),
        Proof("0.1.0", 2, "1.0", whole.digest, f"sha256:{'f' * 64}"),
    )
    unproved = json.loads(entry(whole, OTHERS, None))
    jsonschema.validate(unproved, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert "proofs" not in unproved


def test_match_keys_and_odd_texts_are_written_as_they_are(build) -> None:
    value = "ft_adapter_my_way:adapter"
    points = f'[project.entry-points."ft.match.columns"]\nmine = "{value}"\n"a+b" = "{value}"\n'
    said = ('description = "', 'description = "Ä \\"quoted\\" \\\\ way: ')
    folder, wheel = build(
        (PYPROJECT, "", points), (PYPROJECT, *said), (PYPROJECT, "Ada", "Ada Ö B")
    )
    assert wrong(folder, wheel) == []
    data = json.loads(entry(wheel, OTHERS, None))
    assert data["plugins"][0]["matches"] == {"columns": ["a+b", "mine"]}
    assert data["summary"].startswith('Ä "quoted" \\ way: ')
    assert data["steward"] == "Ada Ö B"


def test_the_kit_tries_the_wheel_and_not_the_folder(build, monkeypatch) -> None:
    """The wheel is broken; the project's own folder, mended since, is on the path behind it."""
    folder, wheel = build((f"{PACKAGE}/__init__.py", "", "raise RuntimeError('as built')\n"))
    file = folder / PACKAGE / "__init__.py"
    file.write_text(file.read_text().replace("raise RuntimeError('as built')\n", ""))
    monkeypatch.setenv("PYTHONPATH", str(folder / "src"))
    (problem, *_) = wrong(folder, wheel, report=kit_report(wheel))
    assert problem.startswith("kit: adapter:my-way fails ")
    assert "as built" in problem


def test_what_cannot_be_built_or_read(project: Path, tmp_path: Path, build) -> None:
    with pytest.raises(InputError, match=r"has no pyproject\.toml\n.*publish --check FOLDER"):
        build_wheel(tmp_path, tmp_path / "dist")
    with pytest.raises(RunError, match="cannot be built"):
        build((PYPROJECT, "[build-system]", "[build-system"))
    (file := tmp_path / "x.whl").write_text("no archive")
    with pytest.raises(InputError, match=r"x\.whl: is no wheel that can be read"):
        read_wheel(file)
