"""What a run reports of its steps: times, speeds, memory, means."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ft.api import Run


class Meter:
    """Times the steps and hands their metrics on."""

    def __init__(self, run: Run):
        self.run = run
        self.pause()

    def pause(self) -> None:
        """Start the clock anew: what was done since the last report is no training."""
        self.since: float = time.perf_counter()
        self.tokens: float = self.run.state.tokens

    def place(self) -> dict[str, float]:
        """What the line of a step says of where the run stands."""
        state = self.run.state
        counted = {"step": state.step, "epoch": round(state.epoch, 4), "tokens": state.tokens}
        return {**counted, **state.adapted}

    def report(self, metrics: Mapping[str, float], place: Mapping[str, float]) -> dict[str, float]:
        """Complete a step's metrics, keep them, tell progress and observers; returns them.

        ``place`` is :meth:`place` as it was at the end of that step.
        """
        run, state, now = self.run, self.run.state, time.perf_counter()
        seconds = now - self.since
        state.seconds += seconds
        line = {
            **place,
            **metrics,
            "tokens_per_second": (place["tokens"] - self.tokens) / seconds,
            "memory": peak_memory(run),
            "seconds": round(state.seconds, 3),
        }
        self.since, self.tokens = now, place["tokens"]
        state.history.append(line)
        run.progress.step(line, state.total_steps)
        run.selection.notify("ft_step_ended", run=run, metrics=line)
        return line


def peak_memory(run: Run) -> int:
    """Peak bytes: of the accelerator, or of this process on a CPU."""
    import torch

    if run.device.type == "cuda":
        return torch.cuda.max_memory_allocated(run.device)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reported(run: Run) -> dict[str, float]:
    """The means of what plugins told :meth:`Run.report`, over processes; begins anew.

    Answers that rewards could not score are warned of, once for each reward.
    """
    for label, counts in run.unscored.items():
        missing, asked = (int(run.sum(count)) for count in counts)
        if missing:
            run.progress.warn(
                f"reward:{label} could not score {missing} of {asked} answers at step "
                f"{run.state.step + 1}"
            )
    run.unscored.clear()
    means = {
        name: run.sum(total) / max(run.sum(weight), 1e-9)
        for name, (total, weight) in sorted(run.reported.items())
    }
    run.reported.clear()
    return means
