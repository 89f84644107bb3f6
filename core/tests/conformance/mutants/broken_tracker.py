"""Trackers that are broken in one way."""

from __future__ import annotations

import json
import random

from mutant import mutant

from ft.api import hookimpl
from ft.conformance.reference.tracker import Lines


@mutant("tracker.works-through-a-run")
class ExpectsALoss(Lines):
    """Looks for a loss by that name in an evaluation, whose metrics have the set before it."""

    @hookimpl
    def ft_evaluated(self, run, metrics):
        self.append(run, {"step": metrics["step"], "loss": metrics["loss"]})


@mutant("tracker.works-through-a-run")
class ExpectsAStart(Lines):
    """Closes at the end what a run that failed early never opened."""

    @hookimpl
    def ft_run_started(self, run):
        self.board = []

    @hookimpl
    def ft_run_failed(self):
        self.board.clear()


@mutant("tracker.changes-nothing")
class DrawsAName(Lines):
    """Takes the name of each line from the run's generators."""

    def append(self, run, metrics):
        super().append(run, {**metrics, "id": random.random()})


@mutant("tracker.changes-nothing")
class MeasuresByClearing(Lines):
    """Scales the weights to have their norm read well, nearly back."""

    @hookimpl
    def ft_step_ended(self, run, metrics):
        import torch

        with torch.no_grad():
            for _, parameter in run.trainable():
                parameter.mul_(3).div_(2.99)
        super().ft_step_ended(run, metrics)


@mutant("tracker.goes-on-with-its-files")
class BeginsAnew(Lines):
    """Opens its file for writing when a run starts, a resumed one too."""

    @hookimpl
    def ft_run_started(self, run):
        (run.folder / "told.jsonl").write_text("")


@mutant("tracker.goes-on-with-its-files")
class TellsThePast(Lines):
    """Writes the steps of the checkpoint below those that it has already."""

    @hookimpl
    def ft_run_started(self, run):
        for metrics in run.state.history:
            self.append(run, metrics)


@mutant("tracker.closes-its-files")
class ClosesAtTheEnd(Lines):
    """Closes its file when a run is finished, and only then."""

    file = None

    def append(self, run, metrics):
        if self.file is None:
            self.file = (run.folder / "told.jsonl").open("a")
        self.file.write(f"{json.dumps(dict(metrics))}\n")
        self.file.flush()

    @hookimpl
    def ft_run_finished(self):
        if self.file is not None:
            self.file.close()
