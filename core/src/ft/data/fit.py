"""Encoded rows against the length limit: kept, cut or dropped, and why."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ft.api.examples import Encoded, Example, Prompt
from ft.errors import InputError

LONG = "longer than max_length"
LONG_PROMPT = "prompt longer than max_length"
LONG_MEDIA = "longer than max_length, and cutting would tear its media"
CUT = "nothing to train on left after cutting"
UNTRAINED = "nothing to train on"


class Fitted:
    """A row that was held against the length limit: what is left, or why it is dropped.

    ``rows`` is one row, or its pieces where it was split.
    """

    __slots__ = ("dropped", "rows", "split", "tokens", "trained", "truncated", "truncated_answer")

    def __init__(self, rows: Sequence[Any] = (), dropped: str = ""):
        self.rows = rows
        self.dropped = dropped
        self.truncated = self.truncated_answer = self.split = False
        self.tokens = self.trained = 0


class Fit:
    """Holds rows against the length limit, and stores them compactly."""

    def __init__(self, max_length: int, over_length: str):
        self.max_length = max_length
        self.over_length = over_length

    def __call__(self, example: Example, row: Any) -> Fitted:
        sequences = sequences_of(row)
        for sequence in sequences:
            # 4 bytes a number, where a list has 8 for a pointer and up to 28 for its number
            sequence.input_ids = _compact("i", sequence.input_ids)
            sequence.weights = _compact("f", sequence.weights)
        # a prompt is answered, not learned from: it has no trained token, and cutting its
        # end would cut off the question
        learned = not isinstance(example, Prompt)
        before = [_trained(sequence.weights) for sequence in sequences]
        result = Fitted([row])
        if learned and not any(before):
            return Fitted(dropped=UNTRAINED)
        longest = max(map(len, sequences), default=0)
        if longest > self.max_length:
            if self.over_length == "error":
                raise InputError(
                    f"the row has {longest} tokens, and max_length is {self.max_length}",
                    where=str(example.origin) if example.origin else None,
                    hint="raise trainer.max_length, or set trainer.over_length: drop, truncate or "
                    "split",
                )
            if not learned:
                return Fitted(dropped=LONG_PROMPT)
            if self.over_length == "drop":
                return Fitted(dropped=LONG)
            if any(sequence.media for sequence in sequences):
                return Fitted(dropped=LONG_MEDIA)
            if self.over_length == "split" and isinstance(row, Encoded):
                pieces = _pieces(row, self.max_length)
                result.rows = [piece for piece in pieces if _trained(piece.weights)]
                result.split = True
                result.tokens = sum(map(len, result.rows))
                result.trained = before[0]
                return result
            for sequence in sequences:
                _cut(sequence, self.max_length)
            after = [_trained(sequence.weights) for sequence in sequences]
            result.truncated = True
            result.truncated_answer = after != before
            if any(was and not now for was, now in zip(before, after, strict=True)):
                result.rows, result.dropped = [], CUT
                return result
            before = after
        result.tokens = sum(map(len, sequences))
        result.trained = sum(before)
        return result


def sequences_of(row: Any) -> list[Encoded]:
    """The sequences of a row; other values of a mapping, such as a margin, are no tokens."""
    if isinstance(row, Encoded):
        return [row]
    return [value for value in row.values() if isinstance(value, Encoded)]


def _compact(code: str, values: Sequence[Any]) -> array[Any]:
    if isinstance(values, array) and values.typecode == code:
        return values
    return array(code, values)


def _trained(weights: Sequence[float]) -> int:
    """Tokens with a loss; the first token follows nothing, so it has none."""
    return int(np.count_nonzero(np.asarray(weights)[1:]))


def _pieces(row: Encoded, length: int) -> list[Encoded]:
    """``row`` in pieces that overlap by one token, so that every token is still predicted.

    The first token of a piece has no loss; it is the last of the piece before.
    """
    return [
        replace(
            row,
            input_ids=row.input_ids[start : start + length],
            weights=row.weights[start : start + length],
            per_token={k: v[start : start + length] for k, v in row.per_token.items()},
        )
        for start in range(0, len(row) - 1, length - 1)
    ]


def _cut(sequence: Encoded, length: int) -> None:
    sequence.input_ids = sequence.input_ids[:length]
    sequence.weights = sequence.weights[:length]
    sequence.per_token = {k: v[:length] for k, v in sequence.per_token.items()}
