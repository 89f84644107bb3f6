"""``ft export``."""

from __future__ import annotations

from pathlib import Path

import click

from ft.cli.output import print_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]…")
@click.option("--to", "exporter", help="Exporter plugin; unset: the usual one.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder; unset: RUN/<exporter's name>."
)
@click.option("--device", help="auto, cpu, cuda, …; unset: the run's.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def export(
    run: Path,
    options: tuple[str, ...],
    exporter: str | None,
    output: Path | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Write the result of RUN in the form that serves it, by default one merged model.

    OPTION=VALUE sets options of the exporter, such as shard_size=2GB.
    """
    from ft.cli.progress import TerminalProgress
    from ft.cli.quiet import quiet_libraries
    from ft.pipeline.export import export_run
    from ft.pipeline.folder import run_folder
    from ft.plugins.policy import installed_index

    quiet_libraries()
    with TerminalProgress() as progress:
        written = export_run(
            run_folder(run), installed_index(), progress, exporter, options, output, device
        )
    if as_json:
        print_json({"exported": str(written)})
    else:
        click.echo(f"exported to {written}")
