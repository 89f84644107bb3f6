"""``ft check``: whether a recipe fits, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ft.cli.output import paragraph, print_json, table
from ft.cli.progress import TerminalProgress
from ft.plugins.index import Index
from ft.plugins.policy import installed_index
from ft.recipe.alternatives import Edit, nearest
from ft.recipe.fit import Misfit, label, misfits
from ft.recipe.keys import DATA, EVAL_DATA, MODEL, PART_KINDS, RunKeys
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve
from ft.recipe.resolved import Resolved, Setting


class QuietProgress(TerminalProgress):
    """Warnings and downloads alone: inferences stand in the table."""

    def say(self, message: str) -> None:
        """Print nothing."""


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(context: click.Context, recipe: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Say whether RECIPE fits, and if not, why not and what would.

    OVERRIDES are changes such as adapter.rank=32. Exits with 2 where it does not fit.
    """
    index = installed_index()
    with QuietProgress() as progress:
        written = read_recipe(recipe, overrides)
        resolved = resolve(written, index, progress=progress, fetch_weights=False)
    found = misfits(resolved.selection.all())
    edits = nearest(resolved.selection.all(), index) if found else None
    if as_json:
        print_json(_as_json(resolved, found, edits))
    else:
        _print(recipe, resolved, index, found, edits)
    context.exit(2 if found else 0)


def _chosen(resolved: Resolved) -> dict[str, Setting]:
    """The settings that choose parts, and the kinds of which there is none."""
    return {
        key: setting
        for key, setting in resolved.settings.items()
        if (key.partition(".")[0] in RunKeys.model_fields and setting.value is not None)
        or _chooses(key)
        or key in PART_KINDS
    }


def _chooses(key: str) -> bool:
    top, _, option = key.partition(".")
    last = option.rpartition(".")[2]
    if top in (DATA, EVAL_DATA):
        return last in ("path", "format")
    return option in ("source", "family") if top == MODEL else last == "name"


def _print(
    recipe: Path,
    resolved: Resolved,
    index: Index,
    found: Sequence[Misfit],
    edits: Sequence[Edit] | None,
) -> None:
    rows = [
        (key, "none" if setting.value is None else str(setting.value), setting.origin)
        for key, setting in _chosen(resolved).items()
    ]
    for line in table(rows):
        click.echo(line)
    click.echo()
    if not found:
        click.echo(f"{click.style('fits', fg='green', bold=True)}: ft train {recipe}")
        return
    click.echo(f"{click.style('does not fit', fg='red', bold=True)}:")
    for misfit in found:
        click.echo(paragraph(f"- {misfit.sentence}", indent=2))
    click.echo()
    if edits is None:
        click.echo("No change of one or two parts to other installed plugins makes it fit.")
        return
    click.echo("The nearest recipe that fits has")
    for edit in edits:
        click.echo(paragraph(edit.text, indent=2))
    if all(edit.override for edit in edits):
        changes = " ".join(edit.override for edit in edits)
        click.echo(f"Try it: ft check {recipe} {changes}")


def _as_json(
    resolved: Resolved, found: Sequence[Misfit], edits: Sequence[Edit] | None
) -> dict[str, Any]:
    return {
        "fits": not found,
        "settings": {
            key: {"value": setting.value, "origin": setting.origin}
            for key, setting in resolved.settings.items()
        },
        "misfits": [
            {
                "sentence": misfit.sentence,
                "plugins": [label(plugin) for plugin in misfit.plugins],
                "capability": misfit.capability,
            }
            for misfit in found
        ],
        "nearest": [{"text": edit.text, "override": edit.override} for edit in edits or ()],
    }
