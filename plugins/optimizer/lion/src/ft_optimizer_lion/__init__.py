"""Lion (Chen et al., 2023, arXiv:2302.06675)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class Lion(Optimizer):
    """Steps by the sign of a momentum: every weight moves by the learning rate.

    For half of AdamW's memory. The authors' advice: a learning rate 3 to 10 times smaller than
    AdamW's and a weight decay as many times larger, and batches of 64 and more.
    """

    paper = "arXiv:2302.06675"

    class Options(OptimizerOptions):
        learning_rate: float = Field(2e-5, gt=0, description="peak learning rate")
        betas: tuple[float, float] = Field(
            (0.9, 0.99), description="shares of the momentum in the step, and of its memory"
        )

    def bytes_per_parameter(self) -> float:
        return 4.0  # one momentum in float32

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_lion.update import SignOfMomentum

        return SignOfMomentum(
            self.parameter_groups(run), lr=self.options.learning_rate, betas=self.options.betas
        )


optimizer = Lion()
