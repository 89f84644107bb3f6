"""AdaLomo (Lv et al., 2023, arXiv:2310.10195)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class AdaLomo(Optimizer):
    """LOMO with a learning rate for each weight, from a second moment of rows and columns.

    For training all weights in LOMO's memory at about AdamW's quality. Updates are normalized
    for each tensor, to the RMS of its weights. There is never a whole gradient: no accumulation,
    no clipping by norm, one process, no float16.
    """

    paper = "arXiv:2310.10195"
    accepts = frozenset()
    provides = frozenset({"optimizer"})
    suggests = {"trainer": {"max_grad_norm": None}}

    class Options(OptimizerOptions):
        learning_rate: float = Field(
            1e-3, gt=0, description="peak step size, relative to the RMS of each tensor"
        )
        clip_threshold: float = Field(1.0, gt=0, description="bound on the update's RMS")
        decay_rate: float = Field(
            -0.8, lt=0, description="exponent of the step count in the second moment's decay"
        )

    def bytes_per_parameter(self) -> float:
        return 4 * (1024 + 1024) / 1024**2  # a float32 for each row and column

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_adalomo.update import FusedAdaptive

        return FusedAdaptive(
            self.parameter_groups(run),
            in_backward=True,
            lr=self.options.learning_rate,
            clip_threshold=self.options.clip_threshold,
            decay_rate=self.options.decay_rate,
        )


optimizer = AdaLomo()
