"""Stochastic gradient descent, with Nesterov's or plain momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationInfo, field_validator

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class Sgd(Optimizer):
    """Steps along the gradient, or along its running sum.

    For baselines, and where no memory is left for state: without momentum it keeps none. It
    needs a learning rate some hundred times Adam's, and rarely trains a transformer as well.
    """

    class Options(OptimizerOptions):
        learning_rate: float = Field(1e-2, gt=0, description="peak learning rate")
        momentum: float = Field(0.0, ge=0, lt=1, description="share of the former step; 0: none")
        nesterov: bool = Field(
            False, description="look ahead along the momentum (Sutskever et al., 2013)"
        )

        @field_validator("nesterov")
        @classmethod
        def _has_momentum(cls, value: bool, info: ValidationInfo) -> bool:
            if value and info.data.get("momentum") == 0:
                raise ValueError("this looks ahead along the momentum, and momentum is 0")
            return value

    samples = ({}, {"momentum": 0.9, "nesterov": True})

    def bytes_per_parameter(self) -> float:
        return 4.0 if self.options.momentum else 0.0

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(
            self.parameter_groups(run),
            lr=self.options.learning_rate,
            momentum=self.options.momentum,
            nesterov=self.options.nesterov,
        )


optimizer = Sgd()
