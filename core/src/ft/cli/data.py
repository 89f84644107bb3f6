"""``ft data``: data as a run sees it, prepared ahead, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ft.cli.output import print_json
from ft.errors import InputError

if TYPE_CHECKING:
    from ft.api import Run
    from ft.data.prepared import Set


@click.group()
def data() -> None:
    """Look at data as a run would see it, and prepare it ahead."""


@data.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def prepare(recipe: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Encode RECIPE's data now, and keep it for every run that needs the same.

    KEY=VALUE changes values of the recipe. `ft train` does this by itself; what was prepared
    is read. No weights are loaded, so it can be done on a machine without an accelerator.
    """
    run, sets = _prepared(recipe, overrides)
    found = [_describe(one) for one in sets]
    if as_json:
        print_json({"sets": found, "report": run.data.report.as_dict()})
        return
    for one in found:
        click.echo(
            f"{one['name']}: {one['rows']:,} rows, {one['tokens']:,} tokens, "
            + ("made now" if one["made"] else "prepared before")
        )
        click.echo(f"  {one['folder'] or 'in memory: rows with media are not kept'}")


@data.command()
@click.option("--clear", is_flag=True, help="Delete it all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cache(clear: bool, as_json: bool) -> None:
    """Say how much prepared data is kept, and where; it may be deleted at any time."""
    from ft.data import cache as kept
    from ft.pipeline.data import cache_folder

    root = cache_folder()
    sizes = kept.sizes(root)
    total = sum(sizes.values())
    if clear:
        kept.clear(root)
    if as_json:
        folders = {str(folder): size for folder, size in sizes.items()}
        print_json({"folder": str(root), "bytes": total, "cleared": clear, "of": folders})
        return
    verb = "deleted" if clear else "kept"
    click.echo(f"{len(sizes)} prepared data sets, {total / 1e6:,.1f} MB, {verb} in {root}")


@data.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]…")
@click.option(
    "--row",
    "number",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Which row, from 1.",
)
@click.option("--eval", "evaluation", is_flag=True, help="Of the evaluation data.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(
    recipe: Path, overrides: Sequence[str], number: int, evaluation: bool, as_json: bool
) -> None:
    """Show a row of RECIPE's data token by token, just as it is trained.

    KEY=VALUE changes values of the recipe (trainer.max_length=512). Rows are counted after
    those that are dropped; with packing a row is a pack. No weights are loaded.
    """
    from ft.data.show import origins_of, row_at, show_rows, summary, table

    run, _ = _prepared(recipe, overrides)
    sets = list(run.eval_data.values()) if evaluation else [run.data]
    row = row_at(sets, number)
    if row is None:
        raise InputError(
            f"there is no row {number}: the {'evaluation' if evaluation else 'training'} data "
            f"has {sum(map(len, sets))}",
            where=str(recipe),
        )
    tokens = show_rows(run, row)
    if as_json:
        print_json(tokens)
        return
    for origin in origins_of(tokens):
        click.echo(origin)
    head, lines = table(tokens)
    click.secho(head, bold=True)
    for token, line in zip(tokens, lines, strict=True):
        # click leaves colours out where the output is no terminal
        click.secho(line, fg="green" if token["trained"] else None)
    click.echo(summary(tokens))


def _prepared(recipe: Path, overrides: Sequence[str]) -> tuple[Run, Sequence[Set]]:
    from ft.cli.progress import TerminalProgress
    from ft.cli.quiet import quiet_libraries
    from ft.pipeline.data import prepared_run
    from ft.plugins.policy import installed_index
    from ft.recipe.read import read_recipe
    from ft.recipe.resolve import resolve

    quiet_libraries()
    with TerminalProgress() as progress:
        resolved = resolve(read_recipe(recipe, overrides), installed_index(), fetch_weights=False)
        return prepared_run(resolved, progress)


def _describe(one: Set) -> dict[str, Any]:
    return {
        "name": one.name,
        "rows": len(one.rows),
        "tokens": int(one.rows.table().tokens.sum()),
        "read": one.rows.read,
        "bad": one.rows.bad,
        "made": one.made,
        "folder": None if one.folder is None else str(one.folder),
    }
