"""Every check is documented, and the pages say what the docstrings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ft.conformance.check import KIT, LEVELS, checks
from ft.conformance.pages import PARTS, main, pages, parts_of
from ft.kinds import KINDS

DOCS = Path(__file__).parents[3] / "docs" / "checks"


@pytest.mark.parametrize("check", checks().values(), ids=lambda c: c.id)
def test_a_check_says_why_what_passes_what_fails_and_gives_an_example(check) -> None:
    assert check.text.partition("\n")[0].endswith(".")
    found = parts_of(check)
    assert tuple(found) == PARTS
    assert all(found.values())
    assert check.level in LEVELS
    assert check.kind in (*KINDS, "every")
    assert tuple(map(int, check.since.split("."))) <= tuple(map(int, KIT.split(".")))


def test_every_kind_has_checks_of_its_own() -> None:
    assert {check.kind for check in checks().values()} == {*KINDS, "every"}


def test_the_committed_pages_are_those_of_the_checks() -> None:
    """``python -m ft.conformance.pages docs/checks`` writes them."""
    assert {f.name: f.read_text(encoding="utf-8") for f in DOCS.iterdir()} == dict(pages())


def test_pages_of_checks_that_are_gone_go(tmp_path: Path) -> None:
    (tmp_path / "model.gone.md").write_text("old")
    main(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == pages().keys()
