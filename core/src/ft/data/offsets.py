"""Which tokens a span of characters reaches, read from the tokenizer's offsets."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter

Spans = Iterable[tuple[int, int, float]]
"""Stretches of characters with the loss weight of their tokens: ``(start, end, weight)``."""
Offsets = Sequence[tuple[int, int]]
"""Where in its text each token starts and ends."""

_START, _END = itemgetter(0), itemgetter(1)


def token_weights(offsets: Offsets, spans: Spans) -> array[float]:
    """One weight for each token, from where the token lies in the text."""
    weights = array("f", bytes(4 * len(offsets)))
    for start, end, weight in spans:
        if start < end:
            first, stop = token_range(offsets, start, end)
            stop = min(stop, len(offsets))
            weights[first:stop] = array("f", [weight]) * (stop - first)
    return weights


def token_range(offsets: Offsets, start: int, stop: int) -> tuple[int, int]:
    """The first token that a span of characters reaches, and the one behind its last.

    Starts and ends never fall from one token to the next, so a span is a range of tokens.
    The tokens of one character share its offsets. Some tokenizers cut the spaces off a token's
    offsets, down to no width at all for a token of spaces: such a gap belongs to the token
    after it, which may be one more than there are.
    """
    first = bisect_right(offsets, start, key=_END)
    end = bisect_left(offsets, stop, key=_START)
    covered = offsets[end - 1][1] if end else 0
    return first, end + (covered < stop)
