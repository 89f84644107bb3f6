"""The run folder: made once, never overwritten."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ft.errors import InputError
from ft.recipe.resolved import Resolved, Setting
from ft.recipe.write import write_resolved

RECIPE = "recipe.yaml"
RESOLVED = "resolved.yaml"
LOCK = "ft.lock"
RESULT = "result"
MERGED = "base"


def refuse_used_folder(folder: Path) -> None:
    """Raise :class:`InputError` where the run folder already holds something."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    holds_run = (folder / RESOLVED).exists()
    other = f"choose another: output={folder}-2"
    raise InputError(
        "this folder already holds a run" if holds_run else "this output is not an empty folder",
        where=str(folder),
        hint=f"go on with it: ft resume {folder}; or {other}" if holds_run else other,
    )


@contextmanager
def new_run_folder(resolved: Resolved) -> Iterator[None]:
    """Make the run folder and put the recipe into it, as written and as resolved.

    Where what follows fails it goes away again: nothing has been trained yet, and what was
    wrong can be mended and tried again under the same name.
    """
    folder = resolved.output
    try:
        _write_recipes(resolved)
        yield
    except BaseException:
        for name in (RECIPE, RESOLVED, LOCK):
            with suppress(OSError):
                (folder / name).unlink()
        shutil.rmtree(folder / MERGED, ignore_errors=True)
        with suppress(OSError):  # something else lies there
            folder.rmdir()
        raise


def _write_recipes(resolved: Resolved) -> None:
    folder = resolved.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECIPE).write_text(resolved.recipe_text, encoding="utf-8")
        _keep_merged(resolved)
        (folder / RESOLVED).write_text(write_resolved(resolved), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the run folder cannot be written: {error.strerror}",
            where=str(folder),
            hint="choose another: output=<folder>",
        ) from error


def _keep_merged(resolved: Resolved) -> None:
    """Copy the adapters that the run stands on, and name the copies in their place.

    What was trained on top of them is worth nothing without them.
    """
    written = resolved.settings.get("model.merged")
    kept = []
    for number, run in enumerate(map(Path, written.value if written else [])):
        copy = Path(MERGED, f"{number:02d}-{run.name}")
        for name in (RESULT, MERGED):
            if (run / name).is_dir():
                shutil.copytree(run / name, resolved.output / copy / name)
        shutil.copy(run / RESOLVED, resolved.output / copy)
        kept.append(str(copy))
    if written and kept:
        resolved.settings["model.merged"] = Setting(kept, written.origin)


def run_folder(folder: Path) -> Path:
    """``folder`` if it holds a run; raises :class:`InputError` otherwise."""
    if not (folder / RESOLVED).is_file():
        raise InputError(
            f"no run lies here: {RESOLVED} is missing",
            where=str(folder),
            hint="give the output folder of an `ft train`",
        )
    return folder
