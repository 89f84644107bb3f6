"""Metrics for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ft.api import Field, PluginOptions, Run, Tracker, hookimpl


class TensorBoard(Tracker):
    """Writes event files; look at them with ``tensorboard --logdir runs``."""

    class Options(PluginOptions):
        folder: Path | None = Field(
            None, description="where event files go; unset: tensorboard/ in the run folder"
        )

    writer: Any = None

    @hookimpl
    def ft_run_started(self, run: Run) -> None:
        if run.process.is_main:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(
                self.options.folder or run.folder / "tensorboard",
                # hides what a killed run wrote after the checkpoint that this one goes on from
                purge_step=run.state.step + 1,
            )

    @hookimpl
    def ft_step_ended(self, metrics: Mapping[str, float]) -> None:
        self._write("train", metrics)

    @hookimpl
    def ft_evaluated(self, metrics: Mapping[str, float]) -> None:
        self._write("eval", metrics)

    def _write(self, prefix: str, metrics: Mapping[str, float]) -> None:
        if self.writer is not None:
            for name, value in metrics.items():
                if name != "step":
                    self.writer.add_scalar(f"{prefix}/{name}", value, int(metrics["step"]))

    @hookimpl
    def ft_run_finished(self) -> None:
        self._close()

    @hookimpl
    def ft_run_failed(self) -> None:
        self._close()

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()


tracker = TensorBoard()
