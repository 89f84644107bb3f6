"""The rows of a run: which rows of which prepared data sets, in which order, and how many."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from ft.data.fit import CUT, LONG, LONG_PROMPT, UNTRAINED, sequences_of
from ft.data.report import Report
from ft.data.store import Kept, Store, Table, join
from ft.errors import InputError


class Rows(Sequence[Any]):
    """The rows of ``examples`` (numbers over all sets), each an :class:`ft.api.Encoded` or a
    mapping from names to them, with the origin of its example.

    ``lengths`` (int32) are their tokens, of a mapping those of its longest sequence.
    """

    def __init__(
        self, sets: Sequence[Store | Kept], table: Table, examples: np.ndarray, report: Report
    ):
        self._sets = sets
        self._ends = np.cumsum([len(one) for one in sets]).tolist()
        counts = table.rows[examples]
        self._example = examples
        self._rows = (np.cumsum(table.rows, dtype=np.int64) - table.rows)[examples]
        if (counts != 1).any():
            ends = np.cumsum(counts, dtype=np.int64)
            within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
            self._example = np.repeat(examples, counts)
            self._rows = np.repeat(self._rows, counts) + within
        self._table = table
        self.lengths = np.concatenate([one.lengths for one in sets])[self._rows]
        self.report = report
        _account(report, table, examples)
        report.kept = len(self)
        report.longest = int(self.lengths.max(initial=0))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = int(self._rows[index])
        number = bisect_right(self._ends, place)
        row = self._sets[number][place - (self._ends[number - 1] if number else 0)]
        origin = self._table.origin(self._example[index])
        for sequence in sequences_of(row):
            sequence.origin = origin
        return row


def _account(report: Report, table: Table, examples: np.ndarray) -> None:
    cut, dropped = table.cut[examples], table.dropped[examples]
    report.chosen = len(examples)
    report.truncated = int(((cut == 1) | (cut == 2)).sum())
    report.truncated_answers = int((cut == 2).sum())
    report.split = int((cut == 3).sum())
    report.tokens = int(table.tokens[examples].sum())
    report.trained_tokens = int(table.trained[examples].sum())
    for code, reason in enumerate(table.reasons):
        count = int((dropped == code).sum())
        if reason and count:
            report.dropped[reason] = count


def joined_table(sets: Sequence[Store | Kept]) -> Table:
    """The examples of several sets, one set after another."""
    return join([one.table() for one in sets])


def refuse_empty(report: Report, max_length: int) -> None:
    """Raise :class:`ft.errors.InputError`, with the reason, where no row is left."""
    if report.kept:
        return
    raise InputError(
        f"no row is left to train on: {report.rows} read, {report.bad} bad, "
        f"{report.chosen} chosen by weight"
        + "".join(f", {count} dropped ({why})" for why, count in report.dropped.items()),
        hint=_advice(report, max_length),
    )


def _advice(report: Report, max_length: int) -> str:
    if report.dropped[LONG] + report.dropped[LONG_PROMPT] + report.dropped[CUT] > 0:
        return f"raise trainer.max_length, which is {max_length}"
    if report.dropped[UNTRAINED]:
        return "the template marks nothing as trained, or trainer.train_on leaves it out"
    return "look at the data files, and at rows and weight of each data entry"
