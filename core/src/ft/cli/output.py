"""What the commands print: tables that fit the terminal, JSON, errors."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ft.errors import FtError

GAP = 2
WIDE = 120
"""Columns of a terminal from which on distributions are listed beside their plugins."""
LAST_COLUMN = 24
"""The least width, in characters, that other columns leave to a table's last."""


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size().columns


def column_widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Widths for the columns of ``rows`` within ``room`` characters.

    A row's own last cell may run on to the right, so it widens no column. Where the rest
    leaves the last column less than :data:`LAST_COLUMN`, the widest ones give way.
    """
    count = max((len(row) for row in rows), default=0)
    widths = [
        max((len(row[i]) for row in rows if len(row) > i + 1), default=0) for i in range(count - 1)
    ]
    while widths and sum(widths) + GAP * len(widths) > room - LAST_COLUMN and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    return widths


def table(
    rows: Sequence[Sequence[str]],
    widths: Sequence[int] | None = None,
    indent: int = 2,
    wrap: bool = False,
) -> Iterator[str]:
    """The lines of a table. Its last column is cut to the terminal, or wrapped."""
    room = width() - indent
    if widths is None:
        widths = column_widths(rows, room)
    for *cells, last in rows:
        fixed = "".join(
            cut(cell, size).ljust(size + GAP) for cell, size in zip(cells, widths, strict=False)
        )
        rest = max(room - len(fixed), 8)
        lines = (
            textwrap.wrap(last, rest, break_on_hyphens=False) if wrap else [cut(last, rest)]
        ) or [""]
        yield (" " * indent + fixed + lines[0]).rstrip()
        for line in lines[1:]:
            yield " " * (indent + len(fixed)) + line


def cut(text: str, size: int) -> str:
    """``text`` in at most ``size`` characters."""
    return text if len(text) <= size else text[: max(size - 1, 0)].rstrip() + "…"


def paragraph(text: str, indent: int = 0) -> str:
    """``text`` wrapped to the terminal."""
    space = " " * indent
    return textwrap.fill(
        text,
        width(),
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON does not know is printed as text."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_error(error: FtError) -> None:
    """Print what is wrong, where, and what to do about it, to stderr."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
