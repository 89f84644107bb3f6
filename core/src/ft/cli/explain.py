"""``ft explain``: which value holds, and who set it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ft.cli.check import QuietProgress
from ft.cli.output import paragraph, print_json, table
from ft.plugins.policy import installed_index
from ft.recipe.explain import explain as explain_settings
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve
from ft.recipe.write import yaml_text


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("key", required=False)
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(recipe: Path, key: str | None, overrides: Sequence[str], as_json: bool) -> None:
    """Show each value of RECIPE and who set it, or all about KEY.

    KEY is one value, such as adapter.rank, or a part, such as adapter.
    OVERRIDES are changes such as adapter.rank=32.
    """
    if key is not None and "=" in key:
        overrides, key = (key, *overrides), None
    with QuietProgress() as progress:
        written = read_recipe(recipe, overrides)
        resolved = resolve(written, installed_index(), progress=progress, fetch_weights=False)
    found = explain_settings(resolved, key)
    if as_json:
        print_json([asdict(item) for item in found])
    elif len(found) == 1:
        (item,) = found
        click.echo(f"{item.key}: {yaml_text(item.value)}")
        click.echo(f"  set by {item.origin}")
        if item.description:
            click.echo(paragraph(item.description, indent=2))
    else:
        here = f"{Path.cwd()}/"
        rows = [
            (
                item.key,
                yaml_text(item.value).removeprefix(here),
                # whose default it is, the key says
                "default" if item.origin.startswith("default of ") else item.origin,
            )
            for item in found
        ]
        for line in table(rows):
            click.echo(line)
