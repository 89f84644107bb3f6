"""``ft data``: data as a run sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ft.cli.output import print_json
from ft.errors import InputError


@click.group()
def data() -> None:
    """Look at data as a run would see it."""


@data.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--row", "number", default=1, show_default=True, help="Which row, from 1.")
@click.option("--eval", "evaluation", is_flag=True, help="Of the evaluation data.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(
    recipe: Path, overrides: Sequence[str], number: int, evaluation: bool, as_json: bool
) -> None:
    """Show a row of RECIPE's data token by token, just as it is trained.

    OVERRIDES change values of the recipe (trainer.max_length=512). Rows are counted after
    those that are dropped; with packing a row is a pack. No weights are loaded.
    """
    from ft.cli.quiet import quiet_libraries
    from ft.data.show import HEADER, as_line, show_rows, summary
    from ft.pipeline.data import prepared_for_show
    from ft.plugins.policy import installed_index
    from ft.recipe.read import read_recipe
    from ft.recipe.resolve import resolve

    quiet_libraries()
    resolved = resolve(read_recipe(recipe, overrides), installed_index(), fetch_weights=False)
    run = prepared_for_show(resolved, resolved.output)
    if evaluation:
        rows = [row for prepared in run.eval_data.values() for row in prepared]
    else:
        rows = run.data
    if not 0 < number <= len(rows):
        raise InputError(
            f"there is no row {number}: the {'evaluation' if evaluation else 'training'} data "
            f"has {len(rows)}",
            where=str(recipe),
        )
    tokens = show_rows(run, rows[number - 1])
    if as_json:
        print_json(tokens)
        return
    click.echo(HEADER)
    for token in tokens:
        # click leaves colours out where the output is no terminal
        click.secho(as_line(token), fg="green" if token["trained"] else None)
    click.echo(summary(tokens))
