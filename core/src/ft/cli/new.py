"""``ft plugins new``: a plugin project to start from."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from ft.cli.output import paragraph


@click.command(no_args_is_help=True)
@click.argument("kind")
@click.argument("name")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The project's folder; unset: ft-KIND-NAME. One with files in it is refused.",
)
@click.option(
    "--author",
    "authors",
    metavar="NAME",
    multiple=True,
    help='An author, or "Name <address>". Can be given several times.',
)
@click.option(
    "--model-type",
    metavar="TYPE",
    help="For a model that transformers builds: the model_type in its config.json.",
)
def new(
    kind: str, name: str, output: Path | None, authors: Sequence[str], model_type: str | None
) -> None:
    """Start a plugin: a project that can be installed, tested and published.

    KIND is model, template, dataset, adapter, quantizer, optimizer or trainer. NAME is what a
    recipe will call it.
    """
    from ft.plugins.starter import render_starter, write_starter

    project = render_starter(kind, name, authors=authors, model_type=model_type)
    folder = output or Path(f"ft-{kind}-{name}")
    write_starter(project, folder)
    click.echo(f"Wrote {folder} ({len(project)} files). It works as it is:")
    commands = {
        f"cd {shlex.quote(str(folder))}": "",
        "pip install --editable '.[test]'": "the plugin, and what its tests need",
        f"ft plugins test {kind}:{name}": "what ft expects of it, check by check",
        "pytest": "the same, as its CI runs it",
    }
    size = max(map(len, [command for command, why in commands.items() if why]))
    for command, why in commands.items():  # never cut: they are there to be copied
        click.echo(f"  {command:{size}}  {why}".rstrip())
    click.echo(paragraph(f"Then make it yours: {folder}/src/ft_{kind}_{name.replace('-', '_')}/"))
