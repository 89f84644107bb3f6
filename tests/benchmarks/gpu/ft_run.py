"""The work through ft's pipeline, from a recipe on, as ``ft train`` does it.

``settings`` are keys of the recipe. A mapping changes the part that stands there; one with another
name, and anything else, replaces it: ``{"trainer": {"gradient_checkpointing": true}}``. The
string ``null`` stands for nothing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import work
from work import Steps, Work

from ft.api import Progress, Run, Tracker, hookimpl
from ft.cli.quiet import quiet_libraries
from ft.pipeline.run import execute
from ft.plugins.policy import installed_index
from ft.plugins.selection import Selection
from ft.recipe.alternatives import refuse_misfits
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve
from ft.training.loop import make_order


class Watch(Tracker):
    """Times the steps with the clock of this folder, and counts tokens from the rows."""

    def __init__(self, steps: Steps):
        self.steps = steps

    @hookimpl
    def ft_run_started(self, run: Run) -> None:
        self.steps.trainable = sum(parameter.numel() for _, parameter in run.trainable())
        lengths, total = run.data.lengths, run.state.total_steps
        for _, items in make_order(run).batches(0, total):
            self.steps.tokens.append(int(sum(lengths[item] for item in items)))

    @hookimpl
    def ft_step_taken(self) -> None:
        self.steps.ended()

    @hookimpl
    def ft_step_ended(self, metrics: Mapping[str, float]) -> None:
        # told of every `log_every`-th step only, and of the last
        self.steps.told(metrics["loss"], metrics["step"])


class Told(Progress):
    """Prints what a user would read."""

    def say(self, message: str) -> None:
        print(message, flush=True)

    warn = say


def recipe(job: Work) -> dict[str, Any]:
    """The recipe of the work, with the settings merged into it."""
    adapter = {"name": "lora", "rank": work.RANK, "alpha": work.ALPHA}
    made: dict[str, Any] = {
        "model": {"source": job.model},
        "template": "smollm2",
        "data": {"path": str(Path(job.data) / work.ROWS), "format": "alpaca"},
        "adapter": adapter if job.method == "lora" else {"name": job.method},
        "trainer": {
            "name": "sft",
            "steps": job.steps,
            "batch_size": job.batch_size,
            "max_length": job.max_length,
            "log_every": 8,
        },
        "optimizer": {"name": "adamw", "learning_rate": work.LEARNING_RATE},
        "output": str(Path(job.scratch) / "run"),
    }
    for key, value in job.settings.items():
        part = made.get(key)
        same = isinstance(part, dict) and isinstance(value, dict)
        same = same and value.get("name", part.get("name")) == part.get("name")
        made[key] = {**part, **value} if same else value
    # TOML, in which the settings are written, has no null
    return json.loads(json.dumps(made).replace('"null"', "null"))


def train(job: Work, steps: Steps) -> None:
    """One run."""
    file = Path(job.scratch) / "recipe.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(recipe(job)), encoding="utf-8")  # JSON is YAML
    quiet_libraries()
    index = installed_index()
    resolved = resolve(read_recipe(file, ()), index)
    refuse_misfits(resolved.selection.all(), index)
    chosen = resolved.selection
    watched = Selection([*chosen.all(), Watch(steps).bind("watch")], chosen.defaults)
    execute(dataclasses.replace(resolved, selection=watched), Told())


if __name__ == "__main__":
    work.run(train)
