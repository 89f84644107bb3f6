"""Go on with a run that stopped before its end."""

from __future__ import annotations

import json
from pathlib import Path

from ft.api import InputError, Progress, Run
from ft.pipeline.folder import RESOLVED, run_folder
from ft.pipeline.run import execute
from ft.plugins.index import Index
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve
from ft.recipe.write import yaml_text
from ft.training.checkpoint import checkpoints


def resume_run(folder: Path, index: Index, progress: Progress) -> Run:
    """Train the run in ``folder`` to its end, from its last complete checkpoint.

    Raises :class:`InputError` where no run or no checkpoint lies there.
    """
    recipe = read_recipe(run_folder(folder) / RESOLVED, [f"output={yaml_text(str(folder))}"])
    found = checkpoints(folder)
    if not found:
        raise InputError(
            "this run has no checkpoint to go on from",
            where=str(folder),
            hint="start it again: remove the folder, then `ft train` its recipe; set "
            "trainer.save_every for checkpoints on the way",
        )
    resolved = resolve(recipe, index, progress=progress)
    warn_of_changes(folder, index, progress)
    progress.say(f"resuming from {found[-1].name}")
    return execute(resolved, progress, resume=found[-1])


def warn_of_changes(folder: Path, index: Index, progress: Progress) -> None:
    """Say which plugins have another version than when the run began."""
    lock = folder / "ft.lock"
    if not lock.is_file():
        return
    installed = {record.distribution: record.version for record in index.records}
    for plugin in json.loads(lock.read_text(encoding="utf-8"))["plugins"]:
        name = plugin.get("distribution")
        if name in installed and installed[name] != plugin["version"]:
            progress.warn(
                f"{name} was {plugin['version']} when this run began and is {installed[name]} now"
            )
