"""How many times an epoch takes each row of a data set: its weight."""

from __future__ import annotations

import random


def weighted(count: int, weight: float, seed: str) -> list[int]:
    """The indices of ``count`` rows that a ``weight`` takes, in ascending order.

    0.3 takes 30 % of the rows; 2.5 takes each twice and half of them a third time. Which
    rows make up the fraction depends on ``seed`` alone.
    """
    whole, fraction = divmod(weight, 1)
    more = random.Random(seed).sample(range(count), round(fraction * count))
    return sorted([*range(count)] * int(whole) + more)
