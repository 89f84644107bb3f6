"""Data that is read while it is trained on: nothing is prepared ahead, and nothing is kept.

Raw rows go through a shuffle buffer and are encoded a window at a time; packs are made within
a window. All of it is a function of the seed and of the place in the stream, so a run that goes
on from a checkpoint reads past what it has seen, encodes one window again, and takes the same
rows as if nothing had happened.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from ft.api.examples import Origin
from ft.api.run import Run
from ft.data.mix import Mix, draws
from ft.data.pack import pack
from ft.data.prepare import align, encode
from ft.data.read import rows
from ft.data.report import Report
from ft.data.rows import refuse_empty
from ft.data.seeds import seeded
from ft.data.store import REASONS, Chunk, length_of

if TYPE_CHECKING:
    from ft.recipe.resolved import DataPart

WINDOW = 1024
"""Raw rows that are encoded, and packed, together."""

Raw = tuple[int, Origin, Mapping[str, Any]]
"""The number of a data set, and a row of it with where it stands."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a stream was read: the epoch, the raw rows before a window, the items of it."""

    epoch: int = 0
    raw: int = 0
    items: int = 0


class Stream:
    """The rows (or packs) of a run, endlessly; also the order in which they are taken.

    ``run.state.position`` says where to go on, and a checkpoint keeps it. ``report`` counts
    what was read so far. An item can be asked for by its number within the current step.
    """

    def __init__(self, run: Run, parts: Sequence[DataPart], mix: Mix, buffer: int):
        self._run = run
        self._parts = parts
        self._mix = mix
        self._buffer = buffer
        self._options = run.part("trainer").options
        self._held: list[Any] = []
        self.report = Report()

    def __getitem__(self, number: int) -> Any:
        return self._held[number]

    def __iter__(self) -> Iterator[Any]:
        """The items from the start, as they are trained; leaves no trace."""
        return (item for _, item in self._items(Place(), Report()))

    @property
    def steps_per_epoch(self) -> int:
        """The steps of the whole run: how many rows there are is not known."""
        return self._options.steps

    def batches(self, start: int, stop: int) -> Iterator[tuple[int, list[int]]]:
        """``(step, items)`` for the steps from ``start`` to ``stop``, over epochs."""
        state = self._run.state
        items = self._items(Place(**state.position), self.report)
        for step in range(start, stop):
            taken = list(islice(items, self._options.batch_size))
            self._held = [item for _, item in taken]
            state.position = asdict(taken[-1][0])
            yield step, list(range(len(taken)))

    def _items(self, place: Place, report: Report) -> Iterator[tuple[Place, Any]]:
        """The items behind ``place``, each with the place behind it."""
        done, skipped = place.raw, place.items
        for epoch in count(place.epoch):
            raw = islice(self._shuffled(epoch), done, None)
            while window := list(islice(raw, WINDOW)):
                with seeded(self._run.seed, epoch, done):
                    items = self._encoded(window, report)
                for number in range(skipped, len(items)):
                    yield Place(epoch, done, number + 1), items[number]
                done, skipped = done + len(window), 0
            refuse_empty(report, self._options.max_length)
            done = 0

    def _encoded(self, window: Iterable[Raw], report: Report) -> list[Any]:
        chunk = Chunk()
        examples = [
            example
            for part, origin, row in window
            for example in align(self._run, self._parts[part], [(origin, row)], chunk)
        ]
        report.rows += chunk.read
        report.bad += chunk.bad
        report.bad_reasons = (report.bad_reasons + chunk.bad_reasons)[:REASONS]
        report.chosen += len(examples)
        found: list[Any] = []
        for one in encode(self._run, examples):
            report.add(one)
            found += one.rows
        lengths = [length_of(row) for row in found]
        report.kept += len(found)
        report.longest = max([report.longest, *lengths])
        if self._options.packing:
            groups = pack(lengths, self._options.max_length)
            # the fullest packs come first, and the last of them all but empty
            random.shuffle(groups)
            return [[found[i] for i in group] for group in groups]
        return found

    # -- raw rows ------------------------------------------------------------------------------

    def _shuffled(self, epoch: int) -> Iterator[Raw]:
        """The raw rows of an epoch, each drawn from the buffer that those behind it refill."""
        source = self._raw(epoch)
        if not self._options.shuffle:
            yield from source
            return
        draw = random.Random(f"{self._run.seed}/stream/{epoch}")
        buffer = list(islice(source, self._buffer))
        for row in source:
            number = draw.randrange(len(buffer))
            yield buffer[number]
            buffer[number] = row
        draw.shuffle(buffer)
        yield from buffer

    def _raw(self, epoch: int) -> Iterator[Raw]:
        weights = [part.weight for part in self._parts]
        if self._mix == "concat":
            draw = random.Random(f"{self._run.seed}/weights/{epoch}")
            for number, weight in enumerate(weights):
                whole, fraction = divmod(weight, 1)
                for row in self._read(number):
                    yield from [row] * (int(whole) + (draw.random() < fraction))
            return
        sources = [_Source(partial(self._read, number)) for number in range(len(weights))]
        for block in draws(weights, self._run.seed + epoch):
            for number in block.tolist():
                yield sources[number].take()
                ended = [source.ended for source in sources]
                if any(ended) if self._mix == "interleave-first" else all(ended):
                    return

    def _read(self, number: int) -> Iterator[Raw]:
        part = self._parts[number]
        source = rows(part.path, split=part.split, subset=part.subset)
        for origin, row in islice(source, part.rows):
            yield number, origin, row


class _Source:
    """A data set that begins again at its end; ``ended`` once it has given its last row."""

    def __init__(self, read: Any):
        self._read = read
        self._rows = read()
        self._next = next(self._rows)
        self.ended = False

    def take(self) -> Raw:
        taken = self._next
        try:
            self._next = next(self._rows)
        except StopIteration:
            self.ended = True
            self._rows = self._read()
            self._next = next(self._rows)
        return taken
