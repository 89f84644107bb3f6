"""How data sets become one: how often an epoch takes each of their examples, and in which order.

Everything here is a matter of numbers: example ``i`` of set ``k`` is ``starts[k] + i``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from ft.errors import InputError

Mix = Literal["concat", "interleave-first", "interleave-last"]
_DRAWN = 1 << 16
"""Draws made at once."""


def mixed(
    counts: Sequence[int], weights: Sequence[float], names: Sequence[str], how: Mix, seed: int
) -> np.ndarray:
    """The examples that an epoch takes of sets of ``counts`` examples, int64, in their order.

    * ``concat``: one set after the other, each as often as its weight says
      (:func:`weighted`).
    * ``interleave-first``: the next example comes from a set drawn with a probability
      proportional to its weight, until the first set has given its last one.
    * ``interleave-last``: the same until every set has given its last one; those that ended
      before begin again.

    Which examples these are depends on the arguments alone. An empty set is left out.
    """
    starts = np.cumsum([0, *counts[:-1]])
    if how == "concat":
        chosen = [
            start + np.asarray(weighted(count, weight, f"{seed}/{name}"), np.int64)
            for start, count, weight, name in zip(starts, counts, weights, names, strict=True)
        ]
        return np.concatenate(chosen)
    filled = [k for k, count in enumerate(counts) if count]
    sizes = np.array([counts[k] for k in filled])
    if not filled:
        return np.zeros(0, np.int64)
    drawn: list[np.ndarray] = []
    given = np.zeros(len(filled), np.int64)
    blocks = draws([weights[k] for k in filled], seed)
    while not _ended(given >= sizes, how):
        drawn.append(next(blocks))
        given += np.bincount(drawn[-1], minlength=len(filled))
    sets = np.concatenate(drawn)
    # for each draw, how many its set has given before
    before = np.zeros(len(sets), np.int64)
    last = []
    for k, size in enumerate(sizes):
        places = np.flatnonzero(sets == k)
        before[places] = np.arange(len(places))
        if len(places) >= size:
            last.append(places[size - 1])
    end = (min(last) if how == "interleave-first" else max(last)) + 1
    sets, before = sets[:end], before[:end]
    return starts[np.array(filled)[sets]] + before % sizes[sets]


def _ended(done: np.ndarray, how: Mix) -> bool:
    return bool(done.any() if how == "interleave-first" else done.all())


def draws(weights: Sequence[float], seed: int) -> Iterator[np.ndarray]:
    """Endless draws of a set, int64, in blocks."""
    generator = np.random.default_rng([seed, len(weights)])
    shares = np.array(weights, float) / sum(weights)
    while True:
        yield generator.choice(len(weights), size=_DRAWN, p=shares)


def weighted(count: int, weight: float, seed: str) -> list[int]:
    """The indices of ``count`` examples that a ``weight`` takes, in ascending order.

    0.3 takes 30 % of them; 2.5 takes each twice and half of them a third time. Which ones
    make up the fraction depends on ``seed`` alone.
    """
    whole, fraction = divmod(weight, 1)
    more = random.Random(seed).sample(range(count), round(fraction * count))
    return sorted([*range(count)] * int(whole) + more)


def set_aside(chosen: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Set some of the chosen examples aside: a share below 1 (at least one), or that many.

    Returns those to train on and those set aside, each in its order. An example that is
    chosen several times is on one side only, and once among those set aside.

    Raises :class:`ft.errors.InputError` where one side would be empty.
    """
    distinct = list(dict.fromkeys(chosen.tolist()))
    count = max(1, round(share * len(distinct))) if share < 1 else int(share)
    if not 0 < count < len(distinct):
        raise InputError(
            f"an evaluation split of {share:g} takes {count} of {len(distinct)} rows",
            hint="choose eval_split so that rows are left on both sides, or leave it out",
        )
    places = random.Random(f"{seed}/eval").sample(range(len(distinct)), count)
    aside = np.array(distinct, np.int64)[sorted(places)]
    return chosen[~np.isin(chosen, aside)], aside
