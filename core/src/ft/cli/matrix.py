"""``ft matrix``: which plugins go together, and why not."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft.cli import output
from ft.cli.output import cut, print_json, width
from ft.errors import InputError
from ft.plugins.policy import installed_index
from ft.recipe.matrix import Matrix, in_general
from ft.recipe.matrix import matrix as judge

if TYPE_CHECKING:
    from ft.conformance.matrix import Trials
    from ft.plugins.index import Index

DEFAULT_PAIRS = (("adapter", "quantizer"), ("trainer", "adapter"))
TRIED_PAIRS = (("adapter", "quantizer"), ("adapter", "optimizer"), ("trainer", "adapter"))
"""The pairs of which each has to train or to be refused."""
NAME = 18
"""Widest name in a table, in characters."""
SIGNS = {"trains": "✓", "refused": "✗", "not-run": "–", "failed": "!"}  # noqa: RUF001


@click.command()
@click.option("--kinds", metavar="ROWS,COLUMNS", help="Two kinds, such as adapter,optimizer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--run", "tries", is_flag=True, help="Train a tiny model with each pair that fits.")
@click.option("--only", multiple=True, metavar="KIND:NAME", help="With --run: pairs of this one.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --run: keep what came of each pair in this file, and go on from it.",
)
@click.option("--jobs", type=click.IntRange(1), help="With --run: pairs tried side by side.")
def matrix(
    kinds: str | None,
    as_json: bool,
    tries: bool,
    only: Sequence[str],
    results: Path | None,
    jobs: int | None,
) -> int:
    """Show which installed plugins go together, pair by pair, and why not.

    Plugins are judged with their default options. With --run a tiny model is trained five
    steps with each pair that fits; leaves with exit code 1 where one of them does not train.
    """
    index = installed_index()
    if tries:
        pairs = [_pair(kinds)] if kinds else TRIED_PAIRS
        return _run(index, pairs, only, results, jobs, as_json)
    if only or results or jobs:
        raise InputError("--only, --results and --jobs are about pairs that run", hint="add --run")
    tables = [judge(index, *pair) for pair in ([_pair(kinds)] if kinds else DEFAULT_PAIRS)]
    if as_json:
        print_json([_as_json(table) for table in tables])
        return 0
    _print([(table, None) for table in tables])
    return 0


def _run(
    index: Index,
    kinds: Sequence[tuple[str, str]],
    only: Sequence[str],
    file: Path | None,
    jobs: int | None,
    as_json: bool,
) -> int:
    from ft.conformance.matrix import Results, tables_of, try_tables

    tables = tables_of(index, kinds, only)
    results = Results(file)
    for done, (pair, trial) in enumerate(try_tables(tables, index, results, jobs=jobs), 1):
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{done} {pair}: {trial.became}"[: width() - 1], err=True, nl=False)
        if trial.became == "failed":
            click.echo(f"{pair}: {'; '.join(trial.why)}", err=True)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    found = [results.of_table(table, index) for table in tables]
    if as_json:
        print_json([_as_json(table, trials) for table, trials in found])
    else:
        _print(found)
    return int(any(t.became == "failed" for _, trials in found for row in trials for t in row))


def _pair(kinds: str) -> tuple[str, str]:
    names = [name.strip() for name in kinds.split(",")]
    if len(names) != 2:
        raise InputError(
            f"--kinds takes two kinds, not {kinds!r}", hint="--kinds adapter,quantizer"
        )
    return names[0], names[1]


def _print(tables: Sequence[tuple[Matrix, Trials | None]]) -> None:
    click.echo("\n\n".join("\n".join(_lines(table, trials)) for table, trials in tables))


def _lines(table: Matrix, trials: Trials | None) -> Iterator[str]:
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
    marks = [
        [
            _sign(table, trials, r, c) + _numbers(in_general(cell, table.kinds), reasons)
            for c, cell in enumerate(row)
        ]
        for r, row in enumerate(table.cells)
    ]
    first = max((len(cut(name, NAME)) for name in table.rows), default=0) + 2
    for start, end in _bands(table.columns, width() - 2 - first) if not empty else ():
        names = [cut(name, NAME) for name in table.columns[start:end]]
        yield ("  " + " " * first + "  ".join(names)).rstrip()
        for name, row in zip(table.rows, marks, strict=True):
            cells = [mark.ljust(len(n)) for mark, n in zip(row[start:end], names, strict=True)]
            yield ("  " + cut(name, NAME).ljust(first) + "  ".join(cells)).rstrip()
    notes = [(str(number), reason) for reason, number in reasons.items()]
    yield from output.table([*notes, *(("left out", text) for text in table.left_out)], wrap=True)


def _sign(table: Matrix, trials: Trials | None, row: int, column: int) -> str:
    if trials is not None:
        return SIGNS[trials[row][column].became]
    return SIGNS["refused" if table.cells[row][column] else "trains"]


def _numbers(cell: Sequence[str], reasons: dict[str, int]) -> str:
    return ",".join(str(reasons.setdefault(reason, len(reasons) + 1)) for reason in cell)


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


def _as_json(table: Matrix, trials: Trials | None = None) -> dict[str, object]:
    pairs = []
    for r, row in enumerate(table.rows):
        for c, column in enumerate(table.columns):
            reasons = table.cells[r][c]
            pair: dict[str, object] = {"row": row, "column": column}
            if trials is None:
                pair |= {"fits": not reasons, "reasons": reasons}
            else:
                pair |= asdict(trials[r][c])
            pairs.append(pair)
    return {
        "rows": table.kinds[0],
        "columns": table.kinds[1],
        "pairs": pairs,
        "left_out": table.left_out,
    }
