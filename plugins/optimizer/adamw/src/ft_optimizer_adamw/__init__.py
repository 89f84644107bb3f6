"""AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient, in torch's fused form."""

    paper = "arXiv:1711.05101"

    class Options(OptimizerOptions):
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    def bytes_per_parameter(self) -> float:
        return 8.0  # two moments in float32

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(
            self.parameter_groups(run),
            lr=self.options.learning_rate,
            betas=self.options.betas,
            eps=self.options.epsilon,
            fused=True,
        )


optimizer = AdamW()
