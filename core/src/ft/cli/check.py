"""``ft check``: whether a recipe fits, before anything is loaded."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ft.cli.output import paragraph, print_json, table
from ft.cli.progress import TerminalProgress
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
        _print(f"{recipe}", overrides, resolved, found, edits)
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
    recipe: str,
    overrides: Sequence[str],
    resolved: Resolved,
    found: Sequence[Misfit],
    edits: Sequence[Edit] | None,
) -> None:
    rows = [
        (key, _shown(setting.value), setting.origin) for key, setting in _chosen(resolved).items()
    ]
    for line in table(rows):
        click.echo(line)
    click.echo()
    if not found:
        command = " ".join(("ft train", recipe, *map(shlex.quote, overrides)))
        click.echo(f"{click.style('fits', fg='green', bold=True)}: {command}")
        return
    click.echo(f"{click.style('does not fit', fg='red', bold=True)}:")
    for line in table([("-", misfit.sentence) for misfit in found], wrap=True):
        click.echo(line)
    click.echo()
    if edits is None:
        click.echo("No change of one or two parts to other installed plugins makes it fit.")
        return
    click.echo("The nearest recipe that fits has")
    for edit in edits:
        click.echo(paragraph(edit.text, indent=2))
    if all(edit.override for edit in edits):
        changed = tuple(edit.override.partition("=")[0] for edit in edits)
        kept = [o for o in overrides if not any(_under(o.partition("=")[0], k) for k in changed)]
        changes = map(shlex.quote, (*kept, *(edit.override for edit in edits)))
        click.echo(f"Try it: {' '.join(('ft check', recipe, *changes))}")


def _under(key: str, changed: str) -> bool:
    return key == changed or key.startswith(f"{changed}.")


def _shown(value: Any) -> str:
    """A value in short: a path as seen from the working folder."""
    if value is None:
        return "none"
    text = str(value)
    return text.removeprefix(f"{Path.cwd()}/")


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
