"""The micro batches of a step: collated, counted on the CPU, and on their way to the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from ft.api import Batch, Run, TrainerOptions
from ft.data.collate import IGNORED, collate, same_shapes
from ft.data.fit import sequences_of
from ft.training.order import micro_batches


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What goes through the model at once, on the device.

    ``units`` and ``tokens`` were counted of it before: to count on the device is to wait for it.
    """

    batch: Batch
    units: float
    tokens: int


def counted(run: Run, batch: Batch) -> MicroBatch:
    """Count a batch where it lies, and send it to the device."""
    units = float(run.hook.ft_count_units(run=run, batch=batch))
    # a batch without a unit keeps step with other processes and teaches nothing
    tokens = count_tokens(batch) if units else 0
    return MicroBatch(run.to_device(batch), units, tokens)


def count_tokens(batch: Mapping[str, Any]) -> int:
    """Real tokens of a micro batch: what is neither padding nor counted twice."""
    if "real_tokens" in batch:
        return batch["real_tokens"]
    if "input_ids" in batch:
        mask = batch.get("attention_mask")
        return int(mask.sum()) if mask is not None else batch["input_ids"].numel()
    return sum(count_tokens(part) for part in batch.values() if isinstance(part, Mapping))


def micro_batch_size(run: Run) -> int:
    """Rows of this process in one forward pass: as the options say, or as memory allowed."""
    options: TrainerOptions = run.part("trainer").options
    chosen = run.state.adapted.get("micro_batch_size") or options.micro_batch_size
    return chosen or -(-options.batch_size // run.process.world_size)


def collate_step(run: Run, items: Sequence[int]) -> list[Batch]:
    """This process's micro batches of one step, on the CPU."""
    size = micro_batch_size(run)
    batches = []
    for piece in micro_batches(items, size, run.process.rank, run.process.world_size):
        rows = [run.data[i] for i in piece or items[:1]]
        if isinstance(rows[0], list) and same_shapes(run):
            rows += [[]] * (size - len(rows))
        batch = run.collate(rows)
        if not piece:  # keeps step with the other processes and teaches nothing
            batch = without_weight(batch)
        batches.append(batch)
    return batches


def first_batches(run: Run, count: int) -> Iterator[Batch]:
    """``count`` sequences of the training data, drawn by the run's seed, in micro batches."""
    if run.data is None:
        return
    items: Iterable[Any] = run.data  # a stream is shuffled already
    if isinstance(run.data, Sequence):
        drawn = np.random.default_rng(run.seed).permutation(len(run.data)).tolist()
        items = (run.data[i] for i in drawn)
    rows = (row for item in items for row in (item if isinstance(item, list) else [item]))
    sequences = islice((one for row in rows for one in sequences_of(row)), count)
    while taken := list(islice(sequences, micro_batch_size(run))):
        yield run.to_device(collate(run, taken))


def without_weight(batch: Mapping[str, Any]) -> Batch:
    """The same batch with every loss weight 0 and no label."""
    out: Batch = {}
    for key, value in batch.items():
        if isinstance(value, Mapping):
            out[key] = without_weight(value)
        elif key == "weights":
            out[key] = value * 0
        elif key == "labels":
            out[key] = value.new_full(value.shape, IGNORED)
        elif key == "predicts":
            out[key] = value[:0]
        else:
            out[key] = value
    return out


def only_core_has(run: Run, hook: str) -> bool:
    """Whether no plugin of the run implements a hook."""
    implementations = getattr(run.hook, hook).get_hookimpls()
    return all(one.plugin is run.selection.defaults for one in implementations)


@dataclass(slots=True)
class DataStep:
    """One step of the data: its number, its rows, and the micro batches once collated."""

    step: int
    items: list[int]
    collated: list[Batch] | None = None


class Upcoming:
    """The steps of the data, the next one collated ahead where that leaves no trace.

    While the device works on a step the CPU has nothing to do, until the step's metrics are
    read: :meth:`prepare` is called in between. Core's own collation draws no random number
    and rows of a sequence can be read at any time; a plugin's own may keep state, which a
    checkpoint in between must not find ahead of its time.
    """

    def __init__(self, run: Run, steps: Iterable[tuple[int, list[int]]]):
        self._run = run
        self._steps = iter(steps)
        self._next: DataStep | None = None
        self._may_prepare = only_core_has(run, "ft_collate") and isinstance(run.data, Sequence)

    def __iter__(self) -> Iterator[DataStep]:
        while True:
            taken = self._next or self._read()
            self._next = None
            if taken is None:
                return
            yield taken

    def prepare(self) -> None:
        """Collate the next step now."""
        if self._may_prepare and self._next is None and (found := self._read()):
            found.collated = collate_step(self._run, found.items)
            self._next = found

    def _read(self) -> DataStep | None:
        return next((DataStep(step, items) for step, items in self._steps), None)


def updates_of(run: Run, model: Any, batches: list[Batch]) -> Iterator[list[MicroBatch]]:
    """The micro batches of each optimizer step that a trainer makes of one step's."""
    if only_core_has(run, "ft_make_batches"):
        yield [counted(run, batch) for batch in batches]
        return
    given = [run.to_device(batch) for batch in batches]
    # measured in the precision of the forward passes that are compared with it
    with run.autocast():
        made = iter(run.hook.ft_make_batches(run=run, model=model, batches=given))
    while True:
        with run.autocast():
            update = next(made, None)
        if update is None:
            return
        yield [counted(run, batch) for batch in update]
