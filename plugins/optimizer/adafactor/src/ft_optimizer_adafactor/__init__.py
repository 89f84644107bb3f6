"""Adafactor (Shazeer and Stern, 2018, arXiv:1804.04235)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class Adafactor(Optimizer):
    """Second moments as row and column factors; memory grows with rows plus columns."""

    paper = "arXiv:1804.04235"

    class Options(OptimizerOptions):
        learning_rate: float = Field(1e-2, gt=0, description="peak relative step size")
        clip_threshold: float = Field(1.0, gt=0, description="bound on the update's RMS")
        beta2_decay: float = Field(-0.8, lt=0, description="exponent of the second moment's decay")

    def bytes_per_parameter(self) -> float:
        return 4 * (1024 + 1024) / 1024**2  # a float32 for each row and column

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adafactor(
            self.parameter_groups(run),
            lr=self.options.learning_rate,
            d=self.options.clip_threshold,
            beta2_decay=self.options.beta2_decay,
        )


optimizer = Adafactor()
