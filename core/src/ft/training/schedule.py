"""Learning rates over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from ft.api import OptimizerOptions


def warmup_steps(warmup: float, steps: int) -> int:
    """``warmup`` as a number of steps: a share of all below 1, a count from 1."""
    return math.ceil(round(warmup * steps, 6)) if warmup < 1 else int(warmup)


def build_schedule(optimizer: Optimizer, options: OptimizerOptions, steps: int) -> LRScheduler:
    """Linear warm-up to the peak, then the chosen course down to ``min_learning_rate``."""
    from torch.optim.lr_scheduler import LambdaLR

    warm = warmup_steps(options.warmup, steps)
    floor = options.min_learning_rate / options.learning_rate
    course = COURSES[options.schedule]

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        done = (step - warm) / max(1, steps - warm)
        return floor + (1 - floor) * course(min(1.0, done))

    return LambdaLR(optimizer, factor)


COURSES = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}
"""What is left of the peak when a share of the steps after the warm-up is done."""
