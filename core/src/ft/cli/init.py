"""``ft init``: a starter recipe to change."""

from __future__ import annotations

from pathlib import Path

import click

from ft.cli.output import table
from ft.errors import InputError
from ft.recipe.starter import DEFAULT, starter, starters


@click.command(no_args_is_help=False)
@click.argument("template", default=DEFAULT)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("recipe.yaml"),
    show_default=True,
    help="The file to write. An existing one is never overwritten.",
)
@click.option("--model", help="The model to start from: a folder, or a name on the hub.")
@click.option("--data", help="The data to train on: a file, a folder, or a name on the hub.")
@click.option("--list", "list_them", is_flag=True, help="List the starter recipes.")
def init(template: str, output: Path, model: str | None, data: str | None, list_them: bool) -> None:
    """Write a starter recipe. TEMPLATE is one of those that --list shows."""
    if list_them:
        click.echo("\n".join(table(list(starters().items()), wrap=True)))
        return
    values = {key: value for key, value in (("model", model), ("data", data)) if value}
    text = starter(template, values)
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(
            f"{output} exists, and ft init overwrites nothing",
            hint="name another file: --output other.yaml",
        ) from None
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}") from None
    missing = " and ".join(key for key in ("model", "data") if key not in values)
    click.echo(
        f"Wrote {output} ({template}). "
        + (f"Put your {missing} into it, then:" if missing else "Now:")
    )
    click.echo(
        "\n".join(
            table(
                [
                    (f"ft check {output}", "does it fit, and what is inferred"),
                    (f"ft explain {output}", "every value, and who set it"),
                    (f"ft train {output}", "train"),
                ]
            )
        )
    )
