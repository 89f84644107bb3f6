"""docs/matrix.md: every pair of methods trains or is refused, and the page says which."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from checkout import ROOT

from ft.plugins.policy import installed_index
from ft.recipe.matrix import Matrix, matrix

AGAIN = "ft matrix --run --results docs/matrix.json, then python docs/compute_matrix.py"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "compute_matrix.py"))


@pytest.fixture(scope="module")
def tables() -> dict[str, Matrix]:
    """What ``ft check`` says now, adapters down the sides."""
    index = installed_index()
    return {kind: matrix(index, "adapter", kind) for kind in ("quantizer", "optimizer", "trainer")}


def test_every_pair_trains_or_is_refused(made: Any, tables: dict[str, Matrix]) -> None:
    names, pairs, wrong = made["ours"](), made["found"]()["pairs"], []
    for kind, table in tables.items():
        for adapter, cells in zip(table.rows, table.cells, strict=True):
            for other, reasons in zip(table.columns, cells, strict=True):
                if adapter not in names["adapter"] or other not in names[kind]:
                    continue
                pair = made["pair_of"](adapter, kind, other)
                became = pairs.get(pair, {"became": "not tried"})["became"]
                if became not in ({"refused"} if reasons else {"trains", "not-run"}):
                    wrong.append(
                        f"{pair}: {became}, and ft check {'refuses' if reasons else 'fits'}"
                    )
    assert not wrong, f"{len(wrong)} pairs, {wrong[:5]}; {AGAIN}"


def test_the_tables_have_every_plugin(made: Any, tables: dict[str, Matrix]) -> None:
    for kind, table in tables.items():
        assert set(made["ours"]()[kind]) <= set(table.columns), table.left_out
        assert set(made["ours"]()["adapter"]) <= set(table.rows), table.left_out


def test_the_page_is_current(made: Any) -> None:
    page = (ROOT / "docs" / "matrix.md").read_text(encoding="utf-8")
    assert page == made["page"](made["ours"](), made["found"]()), AGAIN
