"""``ft schema``: what an editor needs to complete and check recipes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ft.errors import InputError
from ft.plugins.policy import installed_index
from ft.recipe.schema import recipe_schema


@click.command()
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to this file instead.")
def schema(output: Path | None) -> None:
    """Print the JSON schema of recipes over the installed plugins.

    With a first line such as "# yaml-language-server: $schema=ft.schema.json" in a recipe,
    editors complete keys, plugin names and options.
    """
    text = json.dumps(recipe_schema(installed_index()), indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {output}. As the first line of a recipe, this makes editors use it:")
    click.echo(f"  # yaml-language-server: $schema={output}")
