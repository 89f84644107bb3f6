r"""Token ids by way of words that were seen before: several times as fast, and the same ids.

A byte-pair tokenizer of the GPT-2 line cuts a text into pieces by a pattern, and merges within
a piece only. All patterns of that line cut

* before a single space between two characters that are none, since nothing but white space
  reaches over a space from the left;
* before the last space of a run with a visible character behind it: of a run of white space
  they leave the last space to the word (``\s+(?!\S)``);
* behind a single line end between two such characters, the second of which is no slash (some
  patterns take slashes along with the line ends behind a sign);
* around added tokens, which are found before the pattern is asked.

What lies between two such places is called a word here. The ids of a text are those of its
words, one after another, so that a word needs to be encoded once.

Which tokenizers are of that line is read from their parts (:func:`cuts_into_words`); any other
encodes each text itself. Beside this proof the caller makes a trial: the first texts are encoded
both ways, and where the two differ, words are not used.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple

Spans = Sequence[tuple[int, int, float]]
Offsets = Sequence[tuple[int, int]]

MOST_WORDS = 1 << 17
"""Words that are remembered, some 20 MB of them; then it begins anew."""
LONGEST_WORD = 32
"""Characters of a word that is remembered: longer ones hardly come twice."""

_MARK = "\0"
"""What stands in a key where a word has no space before it; a text that has it is no key's."""
_BEGINS = re.compile(rf"{_MARK}(?=[^\s/])|[^\s{_MARK}]").match
_ENDS = re.compile(rf"[^\s{_MARK}]\n?\Z").search
"""Whether a piece is a word's beginning, and its end."""
_START, _END = itemgetter(0), itemgetter(1)


class _Edge(NamedTuple):
    """Where a span starts or stops.

    The word from ``word`` to ``end`` in the text holds it, ``inside`` characters from its start.
    Where it lies between two words, and no token's offsets need to be asked, these are -1.
    """

    word: int
    end: int = -1
    inside: int = -1


class _Row:
    """The words of a text by their keys, their ids as far as known, and the spans among them."""

    __slots__ = ("ids", "spans", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.ids: list[bytes | None] = []
        self.spans: list[tuple[_Edge, _Edge, float]] = []
        """With the number of a word in place of its position."""


class Words:
    """The token ids of words, of a tokenizer for which :func:`cuts_into_words` holds.

    A text is cut by ``str.split``, several times as fast as by a pattern, and what comes out is
    looked up as it is: a word without the space before it or, at the start of a line, behind a
    mark. Where this cuts too often the pieces are put together again, and looked up by their
    text behind a mark and a space, which no piece has.
    """

    def __init__(self, tokenizer: Any):
        self._backend = tokenizer.backend_tokenizer
        added = list(tokenizer.added_tokens_decoder.values())
        # No digit behind a space: some tokenizers cut digits off first, and see a run of spaces
        # end there. Nor what an added token begins with, for the same reason.
        begins = {token.content[0] for token in added if token.content}
        visible = _class(set(map(chr, range(33, 127))) - set("0123456789") - begins)
        # those that are looked for in the text as it stands, the longest first
        found = [token.content for token in added if token.content and not token.normalized]
        tokens = "|".join(map(re.escape, sorted(found, key=len, reverse=True))) or "(?!)"
        self._split = re.compile(f"({tokens})").split
        self._cut = re.compile(rf"(?= {visible})|(?<=\S)(?= \S)|(?<=\S\n)(?=[^\s/])")
        self._is_visible = re.compile(visible).match
        # int32 ids as bytes, which join at the speed of copying
        self._known: dict[str, bytes] = {}
        self._offsets: dict[str, Offsets] = {}

    def encode(
        self, texts: Sequence[str], spans: Sequence[Spans]
    ) -> list[tuple[array[int], array[float]]]:
        """Ids and weights of each text, as the tokenizer and its offsets would have them."""
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = False
        rows = [self._row(text, of_row) for text, of_row in zip(texts, spans, strict=True)]
        new = self._learn(rows)
        out = []
        for row in rows:
            found = [self._known[word] for word in row.words] if None in row.ids else row.ids
            ids = array("i", b"".join(found))  # type: ignore[arg-type]
            weights = array("f", bytes(4 * len(ids)))
            for start, stop, weight in row.spans:
                begin, end = (len(b"".join(found[: edge.word])) // 4 for edge in (start, stop))  # type: ignore[arg-type]
                if start.inside >= 0:
                    offsets = self._offsets[row.words[start.word]]
                    begin += token_range(offsets, start.inside, start.inside)[0]
                if stop.inside >= 0:
                    offsets = self._offsets[row.words[stop.word]]
                    end = min(end + token_range(offsets, -1, stop.inside)[1], len(ids))
                weights[begin:end] = array("f", [weight]) * (end - begin)
            out.append((ids, weights))
        self._forget(new)
        return out

    def _row(self, text: str, spans: Spans) -> _Row:
        """Cut a text."""
        row = _Row()
        parts = self._split(text)  # text, an added token, text, … text
        ends = list(accumulate(map(len, parts)))
        edges = [
            (self._edge(parts, ends, start, start), self._edge(parts, ends, stop - 1, stop), weight)
            for start, stop, weight in spans
            if start < stop
        ]
        cuts = sorted({edge[:2] for start, stop, _ in edges for edge in (start, stop)})
        number: dict[int, int] = {}
        at = next_cut = 0
        for index, part in enumerate(parts):
            number[at] = len(row.words)
            end = ends[index]
            if index % 2:
                self._add_word(row, part)
            else:
                while next_cut < len(cuts) and cuts[next_cut][0] < end:
                    word, behind = cuts[next_cut]
                    next_cut += 1
                    if word < at:  # the start of a token before
                        continue
                    self._add_words(row, text[at:word])
                    number[word] = len(row.words)
                    at = word
                    if behind > word:
                        self._add_word(row, text[word:behind])
                        at = behind
                self._add_words(row, text[at:end])
            at = end
        number[at] = len(row.words)
        row.spans = [
            (
                start._replace(word=number[start.word]),
                stop._replace(word=number[stop.word]),
                weight,
            )
            for start, stop, weight in edges
        ]
        return row

    def _edge(self, parts: Sequence[str], ends: Sequence[int], character: int, at: int) -> _Edge:
        """The edge of a span at ``at``, ``character`` being the first or last one within."""
        index = bisect_right(ends, character)
        part = parts[index]
        base = ends[index] - len(part)
        at, character = at - base, character - base
        cut = self._cut
        is_cut = at in (0, len(part)) or (index % 2 == 0 and cut.match(part, at) is not None)
        # some tokenizers cut white space off a token's offsets
        if is_cut and not part[character].isspace():
            return _Edge(base + at)
        if index % 2:
            return _Edge(base, ends[index], at)
        first = character
        while first and not cut.match(part, first):
            first -= 1
        behind = cut.search(part, character + 1)
        return _Edge(base + first, base + behind.start() if behind else ends[index], at - first)

    def _add_word(self, row: _Row, text: str) -> None:
        key = f"{_MARK} {text}"
        row.words.append(key)
        row.ids.append(self._known.get(key))

    def _add_words(self, row: _Row, text: str) -> None:
        if _MARK in text or (len(text) <= LONGEST_WORD and f"{_MARK} {text}" in self._known):
            self._add_word(row, text)
        elif text:
            words = f"{_MARK}{text}".replace("\n", f"\n {_MARK}").split(" ")
            ids = list(map(self._known.get, words))
            if None in ids:
                self._join(words, ids)
            row.words += words
            row.ids += ids

    def _join(self, words: list[str], ids: list[bytes | None]) -> None:
        """Put pieces together, in place, that no word begins or ends between."""
        groups: list[list[int]] = []
        behind = len(words) - 1
        for index, word in enumerate(words):
            if ids[index] is not None:
                continue
            begins, ends = _BEGINS(word), _ENDS(word)
            if begins and ends:
                continue
            first = index if begins else max(index - 1, 0)
            reaches = not ends and index < behind and not self._is_visible(words[index + 1])
            last = index + reaches
            if groups and first <= groups[-1][1]:
                groups[-1][1] = last
            else:
                groups.append([first, last])
        for first, last in reversed(groups):
            key = f"{_MARK} " + "".join(map(_text, words[first : last + 1]))
            words[first : last + 1] = [key]
            ids[first : last + 1] = [self._known.get(key)]

    def _learn(self, rows: Sequence[_Row]) -> list[str]:
        """Encode the words that are not known, those at a span's edge with offsets."""
        cut = {
            row.words[edge.word]
            for row in rows
            for *edges, _ in row.spans
            for edge in edges
            if edge.inside >= 0
        } - self._offsets.keys()
        of_cut = list(cut)
        for word, found in zip(
            of_cut,
            self._backend.encode_batch(list(map(_text, of_cut)), add_special_tokens=False),
            strict=True,
        ):
            self._known[word] = array("i", found.ids).tobytes()
            self._offsets[word] = found.offsets
        new = {
            word
            for row in rows
            if None in row.ids
            for word, ids in zip(row.words, row.ids, strict=True)
            if ids is None
        } - self._known.keys()
        wanted = list(new)
        for word, found in zip(
            wanted,
            self._backend.encode_batch_fast(list(map(_text, wanted)), add_special_tokens=False),
            strict=True,
        ):
            self._known[word] = array("i", found.ids).tobytes()
        return of_cut + wanted

    def _forget(self, new: Iterable[str]) -> None:
        for known in (self._known, self._offsets):
            for word in new:
                if len(word) > LONGEST_WORD:
                    known.pop(word, None)
            if len(known) > MOST_WORDS:
                known.clear()


def _text(word: str) -> str:
    """The text that a key of :class:`Words` stands for."""
    if not word.startswith(_MARK):
        return f" {word}"
    return word[2:] if word.startswith(f"{_MARK} ") else word[1:]


def _class(characters: Iterable[str]) -> str:
    escaped = "".join(map(re.escape, sorted(characters)))
    return f"[{escaped}]" if escaped else "(?!)"


def token_range(offsets: Sequence[tuple[int, int]], start: int, stop: int) -> tuple[int, int]:
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


# -- which tokenizers ----------------------------------------------------------------------------

# What a pattern may consist of. None of these reaches over a space from the left but those of
# white space, and the first of them stops before the last space of a run that a word follows.
_RUN_BUT_LAST, _RUN = r"\s+(?!\S)", r"\s+"
_SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (f"{_UPPER}*{_LOWER}+", f"{_UPPER}+{_LOWER}*")
_PIECES = frozenset(
    {
        *("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", _SUFFIX, "'(?i:[sdmt]|ll|ve|re)"),
        *(r" ?\p{L}+", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"),
        *(r" ?\p{N}+", r"\p{N}", r"\p{N}{1,3}"),
        *(r" ?[^\s\p{L}\p{N}]+", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r" ?[^\s\p{L}\p{N}]+[\r\n/]*"),
        *(r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*", r"\s*[\r\n]+", _RUN_BUT_LAST, _RUN),
        *(rf"[^\r\n\p{{L}}\p{{N}}]?{word}{_SUFFIX}?" for word in _CASED),
    }
)


def cuts_into_words(tokenizer: Any) -> bool:
    """Whether the tokenizer is known to encode a text word by word.

    Read from the parts of its ``tokenizer.json`` and from its added tokens.
    """
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, PreTrainedTokenizerFast) or _is_overridden(tokenizer):
        return False
    backend = tokenizer.backend_tokenizer
    steps = _parts(backend.pre_tokenizer)
    return (
        type(backend.model).__name__ == "BPE"
        and not backend.model.dropout
        and not tokenizer.split_special_tokens
        and all(part["type"] == "NFC" for part in _parts(backend.normalizer))
        and all(map(_is_safe_step, steps))
        and any(map(_is_cutting_step, steps))
        and all(map(_keeps_offsets, _parts(backend.post_processor)))
        and all(map(_is_apart, tokenizer.added_tokens_decoder.values()))
    )


def _is_overridden(tokenizer: Any) -> bool:
    """Whether a subclass does something of its own to texts."""
    from transformers import PreTrainedTokenizerFast

    names = ("__call__", "_encode_plus", "_batch_encode_plus", "encode")
    return any(
        getattr(type(tokenizer), name, None) is not getattr(PreTrainedTokenizerFast, name, None)
        for name in names
    )


def _parts(component: Any) -> list[dict[str, Any]]:
    """The description of a component of the tokenizer, sequences taken apart."""
    if component is None:
        return []
    state = json.loads(component.__getstate__())
    for key in ("pretokenizers", "normalizers", "processors"):
        if key in state:
            return state[key]
    return [state]


def _is_safe_step(step: dict[str, Any]) -> bool:
    if step["type"] == "ByteLevel":
        return not step["add_prefix_space"]
    return step["type"] == "Digits" or _is_cutting_step(step)


def _is_cutting_step(step: dict[str, Any]) -> bool:
    if step["type"] == "ByteLevel":
        return step["use_regex"]  # that of GPT-2
    if step["type"] != "Split" or step["behavior"] != "Isolated" or step["invert"]:
        return False
    pieces = _alternatives(step["pattern"].get("Regex", ""))
    # any other run would take the last space as well
    return _PIECES.issuperset(pieces) and pieces[-2:] == [_RUN_BUT_LAST, _RUN]


def _alternatives(pattern: str) -> list[str]:
    """The alternatives at the top of a pattern: ``a|(b|c)`` gives ``a`` and ``(b|c)``."""
    found, depth = [""], 0
    for character in pattern:
        depth += (character in "([") - (character in ")]")
        if character == "|" and not depth:
            found.append("")
        else:
            found[-1] += character
    return found


def _keeps_offsets(processor: dict[str, Any]) -> bool:
    """Whether a token's offsets do not hang on whether it is the first."""
    if processor["type"] == "ByteLevel":
        return not (processor["trim_offsets"] and processor["add_prefix_space"])
    return processor["type"] == "TemplateProcessing"


def _is_apart(token: Any) -> bool:
    """Whether an added token looks at nothing around it, and no word ends inside of it."""
    spaces = {" ", "\n"} & {*token.content}
    return not (token.lstrip or token.rstrip or token.single_word or spaces)
