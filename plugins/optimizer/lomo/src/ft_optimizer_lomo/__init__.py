"""LOMO (Lv et al., 2023, arXiv:2306.09782)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class Lomo(Optimizer):
    """Gradient descent that uses each gradient in the backward pass and frees it at once.

    For training all weights in hardly more memory than inference takes. There is never a whole
    gradient: no accumulation, no clipping by norm, one process, no float16. ``adalomo`` costs
    little more memory and needs no search for a learning rate.
    """

    paper = "arXiv:2306.09782"
    accepts = frozenset()
    provides = frozenset({"optimizer"})
    suggests = {"trainer": {"max_grad_norm": None}}

    class Options(OptimizerOptions):
        learning_rate: float = Field(1e-2, gt=0, description="peak learning rate")
        clip_value: float | None = Field(
            1.0, gt=0, description="bound on each number of a gradient; null: none"
        )

    def bytes_per_parameter(self) -> float:
        return 0.0

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_lomo.update import FusedDescent

        return FusedDescent(
            self.parameter_groups(run),
            in_backward=True,
            lr=self.options.learning_rate,
            clip_value=self.options.clip_value,
        )


optimizer = Lomo()
