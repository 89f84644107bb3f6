"""Schedule-Free AdamW (Defazio et al., 2024, arXiv:2405.15682)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class ScheduleFree(Optimizer):
    """AdamW at a constant learning rate, whose result is an average of where it has been.

    For runs whose length is not known beforehand: after every step the average is as good as
    what a schedule would reach that ended there. A warm-up helps, and so does a learning rate
    some times that of AdamW. Evaluations and the result have the average, checkpoints what
    trains. An evaluation keeps a copy of the trained weights meanwhile.
    """

    paper = "arXiv:2405.15682"

    class Options(OptimizerOptions):
        schedule: Literal["constant"] = Field(
            "constant", description="there is none: the average takes its place"
        )
        betas: tuple[float, float] = Field(
            (0.9, 0.999),
            description="how near to the average gradients are taken; decay of the second moment",
        )
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")
        averaging_power: float = Field(
            0.0, ge=0, description="later steps weigh more in the average: step to this power"
        )

    def bytes_per_parameter(self) -> float:
        return 8.0  # where AdamW would be, and the second moment, in float32

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from schedulefree import AdamWScheduleFree

        built = AdamWScheduleFree(
            self.parameter_groups(run),
            lr=self.options.learning_rate,
            betas=self.options.betas,
            eps=self.options.epsilon,
            r=self.options.averaging_power,
        )
        built.train()
        return built

    @hookimpl
    def ft_result_weights(self, run: Run) -> AbstractContextManager[None]:
        return averaged(run.optimizer)


@contextmanager
def averaged(optimizer: Any) -> Iterator[None]:
    """The average in the parameters of an optimizer that is in training mode."""
    import torch

    parameters = [p for p in optimizer.state if "z" in optimizer.state[p]]
    # its own way back, from the average, is not exact
    held = [parameter.detach().clone() for parameter in parameters]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()
        with torch.no_grad():
            for parameter, value in zip(parameters, held, strict=True):
                parameter.copy_(value)


optimizer = ScheduleFree()
