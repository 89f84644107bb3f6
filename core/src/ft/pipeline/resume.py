"""Go on with a run that stopped before its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ft.api import InputError, Progress, Run
from ft.api.optimizer import SCHEDULE_OPTIONS
from ft.pipeline.folder import RESOLVED, run_folder
from ft.pipeline.run import execute
from ft.plugins.index import Index
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve
from ft.recipe.write import write_resolved, yaml_text
from ft.training.checkpoint import checkpoints, step_of

SCHEDULE = ("learning_rate", "min_learning_rate", "schedule", "warmup", *SCHEDULE_OPTIONS)
"""Options of the optimizer that its state does not depend on."""


def resume_run(
    folder: Path,
    index: Index,
    progress: Progress,
    *,
    step: int | None = None,
    overrides: Sequence[str] = (),
) -> Run:
    """Train the run in ``folder`` to its end, from its last checkpoint or that of ``step``.

    ``overrides`` are ``key=value`` of the trainer, or of the optimizer's learning rate and
    schedule; they hold from here on. Later checkpoints than that of ``step`` are set aside.

    Raises :class:`InputError` where no run or no such checkpoint lies there.
    """
    _refuse_other_changes(overrides)
    place = f"output={yaml_text(str(folder))}"
    recipe = read_recipe(run_folder(folder) / RESOLVED, [place, *overrides])
    found = {step_of(path): path for path in checkpoints(folder)}
    if not found:
        raise InputError(
            "this run has no checkpoint to go on from",
            where=str(folder),
            hint="start it again: remove the folder, then `ft train` its recipe; set "
            "trainer.save_every for checkpoints on the way",
        )
    step = max(found) if step is None else step
    if step not in found:
        raise InputError(
            f"this run has no checkpoint of step {step}",
            where=str(folder),
            hint=f"it has those of steps {', '.join(map(str, found))}",
        )
    resolved = resolve(recipe, index, progress=progress)
    warn_of_changes(folder, index, progress)
    for later in (path for number, path in found.items() if number > step):
        later.rename(later.with_name(f"left-{later.name}"))
    if overrides:
        (folder / RESOLVED).rename(folder / f"resolved-until-step-{step:06d}.yaml")
        (folder / RESOLVED).write_text(write_resolved(resolved), encoding="utf-8")
    progress.say(f"resuming from {found[step].name}")
    return execute(resolved, progress, resume=found[step])


def _refuse_other_changes(overrides: Sequence[str]) -> None:
    """Only what a checkpoint does not depend on can change on the way."""
    for override in overrides:
        key = override.partition("=")[0]
        kind, _, option = key.partition(".")
        if kind != "trainer" and not (kind == "optimizer" and option in SCHEDULE):
            raise InputError(
                f"{key} cannot change while a run goes on",
                where="the command line",
                hint="options of the trainer can, and of the optimizer " + ", ".join(SCHEDULE),
            )


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
