"""``ft matrix``: which plugins go together, and why not."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ft.cli import output
from ft.cli.output import cut, print_json, width
from ft.errors import InputError
from ft.plugins.policy import installed_index
from ft.recipe.matrix import Matrix
from ft.recipe.matrix import matrix as judge

DEFAULT_PAIRS = (("adapter", "quantizer"), ("trainer", "adapter"))
NAME = 18
"""Widest name in a table, in characters."""


@click.command()
@click.option("--kinds", metavar="ROWS,COLUMNS", help="Two kinds, such as adapter,optimizer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def matrix(kinds: str | None, as_json: bool) -> None:
    """Show which installed plugins go together, pair by pair, and why not.

    Plugins are judged with their default options.
    """
    pairs = [_pair(kinds)] if kinds else DEFAULT_PAIRS
    index = installed_index()
    tables = [judge(index, rows, columns) for rows, columns in pairs]
    if as_json:
        print_json([_as_json(table) for table in tables])
        return
    click.echo("\n\n".join("\n".join(_lines(table)) for table in tables))


def _pair(kinds: str) -> tuple[str, str]:
    names = [name.strip() for name in kinds.split(",")]
    if len(names) != 2:
        raise InputError(
            f"--kinds takes two kinds, not {kinds!r}", hint="--kinds adapter,quantizer"
        )
    return names[0], names[1]


def _lines(table: Matrix) -> Iterator[str]:
    rows, columns = table.kinds
    yield click.style(f"{rows} × {columns}", bold=True)  # noqa: RUF001
    empty = [
        kind
        for kind, names in zip(table.kinds, (table.rows, table.columns), strict=True)
        if not names
    ]
    if empty:
        yield f"  no usable {empty[0]} plugin is installed"
    reasons: dict[str, int] = {}
    marks = [[_mark(cell, reasons) for cell in row] for row in table.cells]
    first = max((len(cut(name, NAME)) for name in table.rows), default=0) + 2
    for start, end in _bands(table.columns, width() - 2 - first) if not empty else ():
        names = [cut(name, NAME) for name in table.columns[start:end]]
        yield ("  " + " " * first + "  ".join(names)).rstrip()
        for name, row in zip(table.rows, marks, strict=True):
            cells = [mark.ljust(len(n)) for mark, n in zip(row[start:end], names, strict=True)]
            yield ("  " + cut(name, NAME).ljust(first) + "  ".join(cells)).rstrip()
    notes = [(str(number), reason) for reason, number in reasons.items()]
    yield from output.table([*notes, *(("left out", text) for text in table.left_out)], wrap=True)


def _mark(cell: tuple[str, ...], reasons: dict[str, int]) -> str:
    if not cell:
        return "✓"
    return "✗" + ",".join(str(reasons.setdefault(reason, len(reasons) + 1)) for reason in cell)


def _bands(names: tuple[str, ...], room: int) -> Iterator[tuple[int, int]]:
    """Ranges of columns that fit side by side."""
    start, used = 0, 0
    for end, name in enumerate(names):
        size = min(len(name), NAME) + 2
        if end > start and used + size > room:
            yield start, end
            start, used = end, 0
        used += size
    yield start, len(names)


def _as_json(table: Matrix) -> dict[str, object]:
    return {
        "rows": table.kinds[0],
        "columns": table.kinds[1],
        "pairs": [
            {"row": row, "column": column, "fits": not reasons, "reasons": reasons}
            for row, cells in zip(table.rows, table.cells, strict=True)
            for column, reasons in zip(table.columns, cells, strict=True)
        ],
        "left_out": table.left_out,
    }
