"""``ft plugins search|suggest|add|remove``: what there is beside what is installed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ft.cli.output import WIDE, column_widths, print_json, table, width
from ft.errors import RunError
from ft.plugins.index import read_index
from ft.plugins.policy import installed_index, read_policy

if TYPE_CHECKING:
    from ft.registry.search import Catalogue, Known

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")


@click.command()
@click.argument("words", nargs=-1, required=True)
@as_json
def search(words: Sequence[str], as_json: bool) -> None:
    """Search installed and published plugins for all of WORDS.

    Looks at kinds, names, distributions, summaries, keywords, papers, and the model types,
    checkpoints and columns that lead to a plugin. Published is what a registry lists.
    """
    found = _catalogue().search(words)
    if as_json:
        print_json([_row(known) for known in found])
        return
    if not found:
        click.echo(f"No plugin mentions {' '.join(words)!r}.")
        return
    _print(found)
    if addable := [known.record.id for known in found if not known.installed]:
        click.echo(f"\nto install one: ft plugins add {addable[0]}")


@click.command()
@click.argument("path", metavar="CHECKPOINT|DATA|RECIPE", type=click.Path(path_type=Path))
@as_json
def suggest(path: Path, as_json: bool) -> None:
    """Say which plugins a checkpoint folder, a data file or a recipe needs.

    Nothing is loaded: what plugins suggest to one another, "ft check" says.
    """
    from ft.registry.suggest import missing
    from ft.registry.suggest import suggest as needs_of

    needs = needs_of(path, _catalogue())
    wanted = missing(needs)
    command = f"ft plugins add {' '.join(wanted)}" if wanted else None
    if as_json:
        rows = [
            {
                "need": need.what,
                "place": need.place,
                "met": need.met,
                "plugins": [_row(known) for known in need.plugins],
            }
            for need in needs
        ]
        print_json({"needs": rows, "command": command})
        return
    for need in needs:
        click.echo(f"{click.style(need.what, bold=True)}  ({need.place})")
        for known in need.plugins:
            record = known.record
            there = f"installed {record.version}" if known.installed else "not installed"
            click.echo(f"  {record.id}  {record.distribution}  {there}")
        if not need.plugins:
            click.echo("  no plugin that is installed or published")
    if command:
        click.echo(f"\nto install what is missing: {command}")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--unlisted", is_flag=True, help="Also install what no registry lists.")
@dry_run
def add(names: Sequence[str], unlisted: bool, dry_run: bool) -> None:
    """Install plugins by KIND:NAME or distribution, with uv, or pip where uv is not there.

    What is installed beside ft's own distributions keeps its version, torch among it.
    """
    from ft.plugins.health import cache_dir
    from ft.registry.install import constraints, distributions_to_add, installer

    catalogue = _catalogue()
    wanted = distributions_to_add(names, catalogue, unlisted)
    kept = constraints(sys.path, wanted, catalogue, read_policy().versions)
    file = cache_dir() / "constraints.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    command = [*installer("install"), "--constraint", str(file)]
    _run([*command, *(["--dry-run"] if dry_run else []), *wanted])


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@dry_run
def remove(names: Sequence[str], dry_run: bool) -> None:
    """Uninstall plugins by KIND:NAME or distribution.

    Refuses where a plugin that stays needs one of them.
    """
    from ft.registry.install import distributions_to_remove, installer

    wanted = distributions_to_remove(names, read_index())
    command = [*installer("uninstall"), *wanted]
    if dry_run:  # pip has no dry run of this
        click.echo(shlex.join(command))
        return
    _run(command)


def _catalogue() -> Catalogue:
    from ft.registry.read import read_registries
    from ft.registry.search import Catalogue

    return Catalogue(installed_index(), read_registries())


def _run(command: Sequence[str]) -> None:
    import subprocess

    click.echo(f"$ {shlex.join(command)}", err=True)
    if code := subprocess.run(command, check=False).returncode:
        raise RunError(f"the command ended with exit code {code}", hint="its own words are above")


def _row(known: Known) -> dict[str, Any]:
    record = known.record
    return {
        "kind": record.kind,
        "name": record.name,
        "distribution": record.distribution,
        "installed": record.version if known.installed else None,
        "state": record.state if known.installed else None,
        "summary": record.summary,
        "match": [f"{group} {key}" for group, key in known.matches],
        "papers": list(known.papers),
        "proofs": [asdict(proof) for proof in known.proofs],
        "registries": list(known.registries),
    }


def _print(found: Sequence[Known]) -> None:
    """One table for each kind: name, what is installed of it, how far the newest wheel that a
    registry knows is proved, who lists it, what it is for.
    """
    wide = width() >= WIDE
    named = ["name", *(["distribution"] if wide else [])]
    header = [*named, "installed", "level", "listed by", "summary"]
    rows = [
        [
            known.record.name,
            *([known.record.distribution] if wide else []),
            known.record.version if known.installed else "-",
            f"L{known.proofs[-1].level}" if known.proofs else "-",
            ", ".join(dict.fromkeys(said.partition(":")[0] for said in known.registries)) or "-",
            known.record.summary,
        ]
        for known in found
    ]
    widths = column_widths([header, *rows], width() - 2)
    click.secho(next(iter(table([header], widths))), dim=True)
    for kind, group in groupby(zip(found, rows, strict=True), key=lambda pair: pair[0].record.kind):
        click.secho(kind, bold=True)
        for _, row in group:
            click.echo(next(table([row], widths)))
