"""Which rows make which step: a pure function of the seed, so that a resumed run agrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MEGABATCH = 50
"""Batches that are sorted by length together. Larger saves padding and shuffles less."""


@dataclass(frozen=True)
class Order:
    """The order of ``len(lengths)`` items in batches of ``batch_size``.

    The last batch of an epoch may be smaller; its loss is still a mean over its own units.
    """

    lengths: Sequence[int]
    batch_size: int
    seed: int
    shuffle: bool = True
    sort_by_length: bool = False

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of one epoch, each a list of item numbers."""
        rng = np.random.default_rng([self.seed, number])
        count = len(self.lengths)
        items = rng.permutation(count) if self.shuffle else np.arange(count)
        if not self.sort_by_length:
            return self._cut(items)
        lengths = np.asarray(self.lengths)
        span = self.batch_size * MEGABATCH
        chunks = [items[start : start + span] for start in range(0, count, span)]
        batches = [
            batch
            for chunk in chunks
            for batch in self._cut(chunk[np.argsort(-lengths[chunk], kind="stable")])
        ]
        if self.shuffle:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return batches

    def _cut(self, items: np.ndarray) -> list[list[int]]:
        size = self.batch_size
        return [items[start : start + size].tolist() for start in range(0, len(items), size)]

    def batches(self, start: int, stop: int) -> Iterator[tuple[int, list[int]]]:
        """``(step, items)`` for the steps from ``start`` to ``stop``, over epochs."""
        epoch, batches = -1, []
        for step in range(start, stop):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                batches = self.epoch(epoch)
            yield step, batches[step % self.steps_per_epoch]


def micro_batches(items: Sequence[int], size: int, rank: int, world_size: int) -> list[list[int]]:
    """This process's share of a batch, in pieces of ``size``.

    Every process gets the same number of pieces, because each backward pass is a meeting of
    all; a piece may be empty at the end of an epoch.
    """
    mine = list(items[rank::world_size])
    most = -(-len(items) // world_size)
    return [mine[start : start + size] for start in range(0, most, size)]
