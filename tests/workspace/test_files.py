"""What git holds: no trace of one machine, and the files that a project has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkout import ROOT, tracked_files

BINARY = {".png", ".parquet", ".arrow", ".gguf", ".safetensors", ".gz"}
# a path below somebody's home or of a build machine; an address that packages come from
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|mnt|tmp/\w)[/\w.-]*"
    r"|https?://[\w.:@-]+/(?:[\w./-]*/)?simple\b"
    r"|https?://files\.pythonhosted\.org"
    r"|--(?:extra-)?index-url|\b(?:PIP|UV)_(?:EXTRA_)?INDEX(?:_URL)?\b|\bUV_DEFAULT_INDEX\b"
)
FRAGMENT = re.compile(r"(\d+|\+[a-z0-9-]+)\.(added|changed|fixed|removed)\.md")


def readable() -> list[Path]:
    this = Path(__file__)
    return [f for f in tracked_files() if f.suffix not in BINARY and f != this]


def test_no_path_of_a_machine_and_no_index_address() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {match[0]}"
        for file in readable()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if (match := MACHINE.search(line))
    ]
    assert found == []


def test_no_lock_file_and_nothing_large() -> None:
    names = {file.name for file in tracked_files()}
    assert names & {"uv.lock", "poetry.lock", "Pipfile.lock"} == set()
    large = [f for f in tracked_files() if f.stat().st_size > 300_000]
    assert large == []


def test_text_files_end_with_a_line_and_have_no_trailing_space() -> None:
    for file in readable():
        if file.suffix in (".py", ".toml", ".md", ".yaml"):
            text = file.read_text(encoding="utf-8")
            assert not text or text.endswith("\n"), file
            assert not text.endswith("\n\n"), file
            if file.suffix != ".md":
                assert not re.search(r"[ \t]+$", text, re.MULTILINE), file


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "CONTRIBUTING.md", "Makefile", "constraints.txt", ".ci/run"]
)
def test_a_project_has(name: str) -> None:
    assert (ROOT / name).is_file()


def test_changelog_fragments_are_named_and_written_as_the_readme_says() -> None:
    fragments = [f for f in (ROOT / "docs/changelog.d").iterdir() if f.name != "README.md"]
    assert fragments
    for fragment in fragments:
        assert FRAGMENT.fullmatch(fragment.name), fragment.name
        text = fragment.read_text(encoding="utf-8").strip()
        assert text, fragment.name
        assert not text.startswith(("#", "-", "*")), f"{fragment.name}: a sentence, not a list"


def test_ci_runs_what_the_readme_says() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
