"""The reference tracker: metrics as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ft.api import Run, Tracker, hookimpl


class Lines(Tracker):
    """Appends what it is told to ``told.jsonl`` in the run folder."""

    @hookimpl
    def ft_step_ended(self, run: Run, metrics: Mapping[str, float]) -> None:
        self.append(run, metrics)

    @hookimpl
    def ft_evaluated(self, run: Run, metrics: Mapping[str, float]) -> None:
        self.append(run, metrics)

    def append(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Write one line, complete on the disk before training goes on."""
        with (run.folder / "told.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(dict(metrics))}\n")


tracker = Lines()
