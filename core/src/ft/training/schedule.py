"""Learning rates over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from ft.api import OptimizerOptions


def count_of(share: float, steps: int) -> int:
    """``share`` as a number of steps: a share of all below 1, a count from 1."""
    return math.ceil(round(share * steps, 6)) if share < 1 else int(share)


def build_schedule(optimizer: Optimizer, options: OptimizerOptions, steps: int) -> LRScheduler:
    """Linear warm-up to the peak, then the chosen course down to ``min_learning_rate``."""
    from torch.optim.lr_scheduler import LambdaLR

    warm = count_of(options.warmup, steps)
    floor = options.min_learning_rate / options.learning_rate
    course = COURSES[options.schedule]

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        rest = max(1, steps - warm)
        return floor + (1 - floor) * course(Place(min(step - warm, rest), warm, steps, options))

    return LambdaLR(optimizer, factor)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a schedule is: ``taken`` of the steps after a warm-up of ``warm``, of ``steps``."""

    taken: int
    warm: int
    steps: int
    options: OptimizerOptions

    @property
    def done(self) -> float:
        """The share of the steps after the warm-up that is taken."""
        return self.taken / max(1, self.steps - self.warm)


def _half_wave(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def _with_restarts(at: Place) -> float:
    """Loshchilov and Hutter, 2017 (arXiv:1608.03983), in cycles of one length."""
    return _half_wave(at.done * (at.options.cycles or 1) % 1) if at.done < 1 else 0.0


def _stable_decay(at: Place) -> float:
    """Hu et al., 2024 (arXiv:2404.06395), with a linear fall."""
    falling = min(count_of(at.options.decay or 0.0, at.steps), max(1, at.steps - at.warm))
    return min(1.0, (at.steps - at.warm - at.taken) / falling)


def _inverse_sqrt(at: Place) -> float:
    """Vaswani et al., 2017 (arXiv:1706.03762): over the warm-up's length, or 10,000 steps."""
    scale = at.warm or 10_000
    return math.sqrt(scale / (scale + at.taken))


COURSES: dict[str, Callable[[Place], float]] = {
    "constant": lambda at: 1.0,
    "linear": lambda at: 1 - at.done,
    "cosine": lambda at: _half_wave(at.done),
    "cosine-with-restarts": _with_restarts,
    "polynomial": lambda at: (1 - at.done) ** (at.options.power or 1),
    "warmup-stable-decay": _stable_decay,
    "inverse-sqrt": _inverse_sqrt,
}
"""What is left of the way from the peak to the end, at each place after the warm-up."""
