"""Token ids by way of words that were seen before: many times as fast, and the same ids.

A tokenizer for which :func:`ft.data.cuts.cuts_into_words` holds cuts every text at the same
places. What lies between two of them is called a word here. The ids of a text are those of its
words, one after another, so that a word needs to be encoded once.

Beside that proof the caller makes a trial: the first texts are encoded both ways, and where the
two differ, words are not used.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import compress, pairwise
from typing import Any

import numpy as np

from ft.data.offsets import Offsets, Spans, token_range, token_weights
from ft.data.pieces import LONGEST_WORD, WHOLE, Cutter, can_be_cut, text_of

MOST_WORDS = 1 << 17
"""Words that are remembered, some 20 MB of them; then it begins anew."""
MOST_OFFSETS = 1 << 13
"""Words whose offsets are remembered, some 5 MB of them."""
_EDGE = np.int32(-1)
"""What stands for an edge among ids."""

Row = tuple["array[int]", "array[float]"]
"""Ids (int32) and weights (float32) of a text's tokens."""


class Words:
    """The token ids of words, of a tokenizer for which ``cuts_into_words`` holds."""

    def __init__(self, tokenizer: Any):
        self._backend = tokenizer.backend_tokenizer
        self._cutter = Cutter(tokenizer)
        # int32 ids as bytes, which join at the speed of copying
        self._known = {WHOLE: _EDGE.tobytes()}
        self._offsets: dict[str, Offsets] = {}

    def encode(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[Row]:
        """Ids and weights of each text, as the tokenizer and its offsets would have them."""
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = False
        can = list(map(can_be_cut, texts))
        cut = self._by_words(list(compress(texts, can)), list(compress(spans, can)))
        return [
            next(cut) if is_cut else self._directly(text, of_text)
            for text, of_text, is_cut in zip(texts, spans, can, strict=True)
        ]

    def _directly(self, text: str, spans: Spans) -> Row:
        found = self._backend.encode(text, add_special_tokens=False)
        return array("i", found.ids), token_weights(found.offsets, spans)

    def _by_words(self, texts: Sequence[str], spans: Sequence[Spans]) -> Iterator[Row]:
        cut = self._cutter.cut(texts, spans)
        found = np.frombuffer(self._look_up(cut.pieces, cut.names), np.int32)
        is_edge = found == _EDGE
        ids = found[~is_edge]
        # the tokens before each edge
        before = np.flatnonzero(is_edge)
        before -= np.arange(len(before))
        place = dict(zip(cut.edges, before.tolist(), strict=True))
        ends = [place[end] for end in cut.ends]
        weights = np.zeros(len(ids), np.float32)
        for number, start, stop, weight in cut.spans:
            begin, end = place[start.word], place[stop.word]
            if start.inside >= 0:
                offsets = self._offsets_of(cut.words[start[:2]])
                begin += token_range(offsets, start.inside, start.inside)[0]
            if stop.inside >= 0:
                end += token_range(self._offsets_of(cut.words[stop[:2]]), -1, stop.inside)[1]
            weights[begin : min(end, ends[number])] = weight
        for begin, end in pairwise([0, *ends]):
            yield array("i", ids[begin:end].tobytes()), array("f", weights[begin:end].tobytes())

    def _look_up(self, pieces: Sequence[str], names: Mapping[str, str]) -> bytes:
        """The ids of pieces, one after another, int32."""
        ids = list(map(self._known.get, pieces))
        unknown = list(_unknown(ids))
        keys = {at: names.get(pieces[at], pieces[at]) for at in unknown}
        joined = self._cutter.joined(pieces, unknown)
        for first, last in joined:
            for at in range(first + 1, last + 1):
                keys.pop(at, None)
                ids[at] = b""
            keys[first] = WHOLE + "".join(map(text_of, pieces[first : last + 1]))
        new = [key for key in set(keys.values()) if key not in self._known]
        found = self._backend.encode_batch_fast(list(map(text_of, new)), add_special_tokens=False)
        self._known |= zip(new, (array("i", one.ids).tobytes() for one in found), strict=True)
        for at, key in keys.items():
            ids[at] = self._known[key]
        self._forget(new)
        return b"".join(ids)  # type: ignore[arg-type]

    def _offsets_of(self, key: str) -> Offsets:
        """Where the tokens of a word lie in it."""
        if key not in self._offsets:
            found = self._backend.encode(text_of(key), add_special_tokens=False)
            if len(self._offsets) == MOST_OFFSETS:
                self._offsets.clear()
            self._offsets[key] = found.offsets
        return self._offsets[key]

    def _forget(self, new: Iterable[str]) -> None:
        for word in new:
            if len(word) > LONGEST_WORD:
                del self._known[word]
        if len(self._known) > MOST_WORDS:
            self._known = {WHOLE: self._known[WHOLE]}


def _unknown(ids: Sequence[bytes | None]) -> Iterator[int]:
    """Where ids are missing."""
    at = -1
    with suppress(ValueError):
        while True:
            at = ids.index(None, at + 1)
            yield at
