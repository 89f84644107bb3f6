"""Metrics as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ft.api import Run, Tracker, hookimpl


class JsonLines(Tracker):
    """Appends each step's and each evaluation's metrics to ``metrics.jsonl`` in the run folder."""

    @hookimpl
    def ft_run_started(self, run: Run) -> None:
        # a resumed run goes on after the steps that its checkpoint holds
        if run.process.is_main:
            lines = "".join(f"{json.dumps(line)}\n" for line in run.state.history)
            (run.folder / "metrics.jsonl").write_text(lines, encoding="utf-8")

    @hookimpl
    def ft_step_ended(self, run: Run, metrics: Mapping[str, float]) -> None:
        self._append(run, metrics)

    @hookimpl
    def ft_evaluated(self, run: Run, metrics: Mapping[str, float]) -> None:
        self._append(run, metrics)

    def _append(self, run: Run, metrics: Mapping[str, float]) -> None:
        if run.process.is_main:
            with (run.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(dict(metrics))}\n")


tracker = JsonLines()
