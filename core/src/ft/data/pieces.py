"""Texts cut into pieces, all of a batch at once, for :mod:`ft.data.words` to look up.

The texts are joined into one string, in which two characters stand for what is no text. It is
cut by ``str.split``, several times as fast as by a pattern. A piece is

* a word without the space before it, or behind a :data:`MARK` where it has none;
* behind two of them: something encoded as a text of its own, such as an added token. With
  nothing behind them it is an edge: the end of a text, or where a span starts or stops.

Spaces and line ends cut more often than a tokenizer does; :meth:`Cutter.joined` puts such pieces
together again.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from ft.data.offsets import Spans

LONGEST_WORD = 32
"""Characters of a word that is remembered: longer ones hardly come twice."""

MARK = "\0"
WHOLE = MARK * 2
_LINE = f"\n {MARK}"
"""What is put in place of a line end."""
_EDGE = "\1"
"""Where an edge is in the joined string."""

_BEGINS = re.compile(rf"{MARK}(?=[^\s/])|[^\s{MARK}]").match
_ENDS = re.compile(rf"[^\s{MARK}]\n?\Z").search
"""Whether a piece is a word's beginning, and its end."""


class Place(NamedTuple):
    """Where a span starts or stops in the joined string.

    The word from ``word`` to ``end`` holds it, ``inside`` characters from its start. Where it
    lies between two words, and no token's offsets need to be asked, these are -1.
    """

    word: int
    end: int = -1
    inside: int = -1


@dataclass(slots=True)
class Pieces:
    """Texts in ``pieces``.

    ``edges`` are the places in the joined string where there is an edge among the pieces, in
    their order; those in ``ends`` end a text. ``spans`` have the number of their text.
    ``words`` are the keys of words with a place inside, and ``names`` what stands for them.
    """

    pieces: list[str]
    edges: list[int]
    ends: list[int]
    spans: list[tuple[int, Place, Place, float]]
    words: dict[tuple[int, int], str]
    names: dict[str, str]


class Cutter:
    """Cuts texts for a tokenizer for which :func:`ft.data.cuts.cuts_into_words` holds."""

    def __init__(self, tokenizer: Any):
        added = list(tokenizer.added_tokens_decoder.values())
        # No digit behind a space: some tokenizers cut digits off first, and see a run of spaces
        # end there. Nor what an added token begins with, for the same reason.
        begins = {token.content[0] for token in added if token.content}
        visible = _class(set(map(chr, range(33, 127))) - set("0123456789") - begins)
        self._is_visible = re.compile(visible).match
        self._cut = re.compile(rf"(?= {visible})|(?<=\S)(?= \S)|(?<=\S\n)(?=[^\s/])")
        # those that are looked for in the text as it stands, the longest first
        found = {token.content for token in added if token.content and not token.normalized}
        tokens = sorted(filter(can_be_cut, found), key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, [_EDGE, *tokens]))})").split
        self._apart = {_EDGE: f" {WHOLE}"} | {token: f" {WHOLE}{token}" for token in tokens}

    def cut(self, texts: Sequence[str], spans: Sequence[Spans]) -> Pieces:
        """Cut texts for which :func:`can_be_cut` holds, at least one."""
        parts = self._split(_EDGE.join([*texts, ""]))  # text, an added token or edge, … text
        ends = list(accumulate(map(len, parts)))
        starts = [0, *accumulate(len(text) + 1 for text in texts)]
        found: list[tuple[int, Place, Place, float]] = []
        for number, (text, of_text) in enumerate(zip(texts, spans, strict=True)):
            base = starts[number]
            for start, stop, weight in of_text:
                first, last = base + max(start, 0), base + min(stop, len(text)) - 1
                if first <= last:
                    begin = self._place(parts, ends, first, first)
                    end = self._place(parts, ends, last, last + 1)
                    found.append((number, begin, end, weight))
        places = {place[:2] for _, *pair, _ in found for place in pair}
        edges, words, names = _put_edges(parts, ends, places)
        text_ends = [start - 1 for start in starts[1:]]
        parts[::2] = map(_pieces, parts[::2])
        parts[1::2] = map(self._apart.__getitem__, parts[1::2])
        pieces = "".join(parts)[1:].split(" ")
        return Pieces(pieces, sorted(edges + text_ends), text_ends, found, words, names)

    def _place(self, parts: Sequence[str], ends: Sequence[int], character: int, at: int) -> Place:
        """The edge of a span at ``at``, ``character`` being the first or last one within."""
        index = bisect_right(ends, character)
        part = parts[index]
        base = ends[index] - len(part)
        at, character = at - base, character - base
        cut = self._cut
        is_cut = at in (0, len(part)) or (index % 2 == 0 and cut.match(part, at) is not None)
        # some tokenizers cut white space off a token's offsets
        if is_cut and not part[character].isspace():
            return Place(base + at)
        if index % 2:
            return Place(base, ends[index], at)
        first = character
        while first and not cut.match(part, first):
            first -= 1
        behind = cut.search(part, character + 1)
        return Place(base + first, base + behind.start() if behind else ends[index], at - first)

    def joined(self, pieces: Sequence[str], unknown: Iterable[int]) -> list[tuple[int, int]]:
        """Pieces to look up together, by the first and the last of them.

        They hold those of the ``unknown`` ones, in ascending order, that no word begins or ends
        with.
        """
        groups: list[tuple[int, int]] = []
        for at in unknown:
            piece = pieces[at]
            begins, ends = _BEGINS(piece), _ENDS(piece)
            if (begins and ends) or piece.startswith(WHOLE):
                continue
            before, behind = pieces[at - 1], pieces[at + 1]
            first = at if begins or before.startswith(WHOLE) else at - 1
            last = at if ends or behind.startswith(WHOLE) or self._is_visible(behind) else at + 1
            if groups and first <= groups[-1][1]:
                first = groups.pop()[0]
            groups.append((first, last))
        return groups


def _put_edges(
    parts: list[str], ends: Sequence[int], places: Collection[tuple[int, int]]
) -> tuple[list[int], dict[tuple[int, int], str], dict[str, str]]:
    """Put edges in place: between words, and around each word with a place inside.

    Returns where they are, the keys of those words, and these by the names that stand for them.
    """
    edges: list[int] = []
    words: dict[tuple[int, int], str] = {}
    names: dict[str, str] = {}
    for start, end in sorted(places, reverse=True):  # what lies before stays where it is
        index = bisect_left(ends, start)
        index += index % 2  # behind an added token rather than at its end
        part, at = parts[index], start - (ends[index - 1] if index else 0)
        edges.append(start)
        if end < 0:
            parts[index] = _EDGE.join((part[:at], part[at:]))
        elif start == ends[index]:
            # an added token, which is apart anyway
            words[start, end] = WHOLE + parts[index + 1]
            parts[index] = part + _EDGE
        else:
            name = f"{MARK}{len(names)}"
            behind = at + end - start
            words[start, end] = names[WHOLE + name] = WHOLE + part[at:behind]
            parts[index] = _EDGE.join((part[:at], name, part[behind:]))
            edges.append(end)
    return edges, words, names


def _pieces(stretch: str) -> str:
    """A stretch between two pieces that are apart, as it is to be cut at its spaces."""
    if _EDGE in stretch:
        return f" {WHOLE}".join(map(_pieces, stretch.split(_EDGE)))
    if " " not in stretch and len(stretch) <= LONGEST_WORD:
        return stretch and f" {WHOLE}{stretch}"
    if "\n" in stretch:
        # a line begins with a mark; between two line ends nothing is cut
        stretch = stretch.replace("\n", _LINE).replace(_LINE * 2, "\n\n")
        stretch = stretch.removesuffix(f" {MARK}")
    return stretch if stretch.startswith(" ") else f" {MARK}{stretch}"


def text_of(piece: str) -> str:
    """The text that a piece stands for."""
    if not piece.startswith(MARK):
        return f" {piece}"
    return piece.removeprefix(WHOLE) if piece.startswith(WHOLE) else piece.removeprefix(MARK)


def can_be_cut(text: str) -> bool:
    """Whether a text has none of the characters that stand for what is no text."""
    return MARK not in text and _EDGE not in text


def _class(characters: Iterable[str]) -> str:
    escaped = "".join(map(re.escape, sorted(characters)))
    return f"[{escaped}]" if escaped else "(?!)"
