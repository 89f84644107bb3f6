"""``ft plugins publish``: whether a release of a plugin is ready, and its registry entry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft.cli.output import paragraph, print_json
from ft.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ft.registry.publish import Finding

WORKFLOW = Path(".github", "workflows", "publish.yml")


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Say what the release lacks; publish nothing.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where wheel and registry entry go; unset: dist in the project's folder.",
)
@click.option("--no-kit", is_flag=True, help="Leave out the conformance kit, and so the proof.")
@click.option(
    "--proof",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A report of the kit from a machine with an accelerator, for level 3.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def publish(
    folder: Path,
    check: bool,
    output: Path | None,
    no_kit: bool,
    proof: Path | None,
    as_json: bool,
) -> int:
    """Check a release of the plugin project in FOLDER, and write its registry entry.

    Builds the wheel and looks at its metadata, names, files, changelog and level. Leaves with
    exit code 1 where something is wrong. Uploading is the work of the project's own workflow.
    """
    if not check:
        raise _leave_it_to_the_workflow(folder)
    from ft.registry.publish import entry, examine
    from ft.registry.read import read_registries
    from ft.registry.wheel import build_wheel, kit_report

    wheel = build_wheel(folder, output or folder / "dist")
    registry = read_registries()
    # where there is no plugin, the kit has nothing to try
    report = None if no_kit or not wheel.plugins else kit_report(wheel, proof)
    findings = examine(folder, wheel, registry, report)
    ready = all(finding.ok for finding in findings)
    file = wheel.path.with_name(f"{wheel.distribution}.json")
    file.unlink(missing_ok=True)  # that of another state of the project
    if ready:
        file.write_text(entry(wheel, registry, report), encoding="utf-8")
    if as_json:
        print_json(
            {
                "distribution": wheel.distribution,
                "version": wheel.version,
                "wheel": str(wheel.path),
                "digest": wheel.digest,
                "findings": [
                    {"check": f.check, "ok": f.ok, "message": f.message, "hint": f.hint or None}
                    for f in findings
                ],
                "entry": str(file) if ready else None,
            }
        )
    else:
        _print(findings)
        if ready:
            click.echo(f"\nwrote {file}")
            where = f"src/ft_registry/plugins/{file.name} of ft-registry"
            click.echo(paragraph(f"Once it is published, propose that file as {where}.", indent=2))
    return int(not ready)


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        verdict = click.style("ok   ", fg="green") if finding.ok else click.style("wrong", fg="red")
        message = paragraph(finding.message, indent=18).lstrip()
        click.echo(f"{verdict}  {finding.check:9}  {message}")
        if finding.hint:
            click.echo(paragraph(finding.hint, indent=18))


def _leave_it_to_the_workflow(folder: Path) -> InputError:
    workflow = folder / WORKFLOW
    if workflow.is_file():
        hint = f'check it with "ft plugins publish --check"; a pushed tag then runs {workflow}'
    else:
        hint = f"{workflow} is not there; ft plugins new writes a project that has it"
    return InputError("ft uploads nothing: publishing is the workflow's work", hint=hint)
