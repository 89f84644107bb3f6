"""The tables that are made from the plugins are those of the plugins as they are."""

from __future__ import annotations

import runpy

import pytest
from checkout import ROOT


@pytest.mark.parametrize("name", ["models.md", "methods.md"])
def test_a_table_is_current(name: str) -> None:
    made = runpy.run_path(str(ROOT / "docs" / "compute.py"))["pages"]()[name]
    found = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert found == made, f"docs/{name} is behind: python docs/compute.py"
