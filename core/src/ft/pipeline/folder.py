"""The run folder: made once, never overwritten."""

from __future__ import annotations

from pathlib import Path

from ft.errors import InputError
from ft.recipe.resolved import Resolved
from ft.recipe.write import write_resolved

RECIPE = "recipe.yaml"
RESOLVED = "resolved.yaml"
RESULT = "result"


def new_run_folder(resolved: Resolved) -> Path:
    """Make the run folder and put the recipe into it, as written and as resolved.

    Raises :class:`InputError` where the folder already holds something.
    """
    folder = resolved.output
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        holds_run = (folder / RESOLVED).exists()
        raise InputError(
            "this folder already holds a run" if holds_run else "this folder is not empty",
            where=str(folder),
            hint=(
                f"go on with `ft resume {folder}`, or choose another"
                if holds_run
                else "choose another"
            )
            + f" output (ft train … output={folder}-2)",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECIPE).write_text(resolved.recipe_text, encoding="utf-8")
        (folder / RESOLVED).write_text(write_resolved(resolved), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(folder)) from error
    return folder


def run_folder(folder: Path) -> Path:
    """``folder`` if it holds a run; raises :class:`InputError` otherwise."""
    if not (folder / RESOLVED).is_file():
        raise InputError(
            f"no run lies here: {RESOLVED} is missing",
            where=str(folder),
            hint="give the output folder of an `ft train`",
        )
    return folder
