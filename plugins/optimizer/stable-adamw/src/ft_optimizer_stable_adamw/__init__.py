"""StableAdamW (Wortsman et al., 2023, arXiv:2304.13013)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class StableAdamW(Optimizer):
    """AdamW that takes a smaller step where a gradient is larger than its second moment knows.

    For runs whose loss spikes: the learning rate of each tensor is divided by the RMS of
    gradient over second moment where that is above one, as Adafactor clips its updates. Leave
    gradient clipping out (``trainer.max_grad_norm: null``); it makes it unnecessary.
    """

    paper = "arXiv:2304.13013"

    class Options(OptimizerOptions):
        betas: tuple[float, float] = Field((0.9, 0.99), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    def bytes_per_parameter(self) -> float:
        return 8.0  # two moments in float32

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_stable_adamw.update import ClippedAdamW

        return ClippedAdamW(
            self.parameter_groups(run),
            lr=self.options.learning_rate,
            betas=self.options.betas,
            epsilon=self.options.epsilon,
        )


optimizer = StableAdamW()
