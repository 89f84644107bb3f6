r"""Token ids by way of words that were seen before: several times as fast, and the same ids.

A byte-pair tokenizer of the GPT-2 line cuts a text into pieces by a pattern, and merges within
a piece only. All patterns of that line cut

* before a space with a visible character behind it, whatever stands to the left: of a run of
  white space they leave the last space to the word (``\s+(?!\S)``), and nothing else reaches
  from the left over a space;
* behind a line end between two visible characters;
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
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple

Spans = Sequence[tuple[int, int, float]]
Offsets = Sequence[tuple[int, int]]

MOST_WORDS = 1 << 17
"""Words that are remembered, some 20 MB of them; then it begins anew."""
LONGEST_WORD = 32
"""Characters of a word that is remembered: longer ones hardly come twice."""

_START, _END = itemgetter(0), itemgetter(1)


class _Edges(NamedTuple):
    """A span: the words in which it starts and stops, and the characters within these."""

    first: int
    start: int
    last: int
    stop: int
    weight: float


class Words:
    """The token ids of words, of a tokenizer for which :func:`cuts_into_words` holds."""

    def __init__(self, tokenizer: Any):
        self._backend = tokenizer.backend_tokenizer
        self._split = _splitter(list(tokenizer.added_tokens_decoder.values()))
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
        rows = [self._split(text) for text in texts]
        edges = [list(_edges(row, of_row)) for row, of_row in zip(rows, spans, strict=True)]
        new = self._learn(rows, edges)
        known, offsets = self._known, self._offsets
        out = []
        for row, of_row in zip(rows, edges, strict=True):
            parts = list(map(known.__getitem__, row))
            ids = array("i", b"".join(parts))
            weights = array("f", bytes(4 * len(ids)))
            for edge in of_row:
                begin, _ = token_range(offsets[row[edge.first]], edge.start, edge.start)
                _, end = token_range(offsets[row[edge.last]], -1, edge.stop)
                begin += _count(parts[: edge.first])
                end = min(end + _count(parts[: edge.last]), len(ids))
                weights[begin:end] = array("f", [edge.weight]) * (end - begin)
            out.append((ids, weights))
        self._forget(new)
        return out

    def _learn(self, rows: Sequence[list[str]], edges: Sequence[Iterable[_Edges]]) -> set[str]:
        """Encode the words that are not known, those at a span's edge with offsets."""
        cut = {
            row[word]
            for row, of_row in zip(rows, edges, strict=True)
            for edge in of_row
            for word in (edge.first, edge.last)
        } - self._offsets.keys()
        wanted = sorted(cut)
        for word, found in zip(
            wanted, self._backend.encode_batch(wanted, add_special_tokens=False), strict=True
        ):
            self._known[word] = array("i", found.ids).tobytes()
            self._offsets[word] = found.offsets
        new = set().union(*rows) - self._known.keys()
        wanted = sorted(new)
        for word, found in zip(
            wanted, self._backend.encode_batch_fast(wanted, add_special_tokens=False), strict=True
        ):
            self._known[word] = array("i", found.ids).tobytes()
        return cut | new

    def _forget(self, new: Iterable[str]) -> None:
        for known in (self._known, self._offsets):
            for word in new:
                if len(word) > LONGEST_WORD:
                    known.pop(word, None)
            if len(known) > MOST_WORDS:
                known.clear()


def _splitter(added: Sequence[Any]) -> Any:
    """A function that cuts a text into its words."""
    # No digit behind a space: some tokenizers cut digits off first, and see a run of spaces end
    # there. Nor what an added token begins with, for the same reason.
    begins = {token.content[0] for token in added if token.content}
    visible = _class(set(map(chr, range(ord("!"), ord("~") + 1))) - set("0123456789") - begins)
    # those that are looked for in the text as it stands, the longest first
    found = [token.content for token in added if token.content and not token.normalized]
    tokens = "|".join(map(re.escape, sorted(found, key=len, reverse=True))) or "(?!)"
    first = _escaped(begins)
    plain = f"[^ \\n{first}]*+"
    no_cut = [f"[ \\n](?!{visible})", r"(?<![!-~])\n"]
    if begins:
        no_cut.append(f"(?!{tokens}){_class(begins)}")
    rest = f"{plain}(?:(?:{'|'.join(no_cut)}){plain})*+\\n?+"
    usual = f"[^{first}]{rest}" if begins else "(?!)"
    return re.compile(f"{usual}|{tokens}|.{rest}", re.DOTALL).findall


def _class(characters: Iterable[str]) -> str:
    escaped = _escaped(characters)
    return f"[{escaped}]" if escaped else "(?!)"


def _escaped(characters: Iterable[str]) -> str:
    return "".join(map(re.escape, sorted(characters)))


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


def _edges(words: Sequence[str], spans: Spans) -> Iterator[_Edges]:
    if not spans:
        return
    ends = list(accumulate(map(len, words)))
    for start, stop, weight in spans:
        if start < stop:
            first, last = bisect_right(ends, start), bisect_left(ends, stop)
            yield _Edges(
                first,
                start - (ends[first - 1] if first else 0),
                last,
                stop - (ends[last - 1] if last else 0),
                weight,
            )


def _count(parts: Iterable[bytes]) -> int:
    return len(b"".join(parts)) // 4


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
    inside = token.content[1:]
    return not (token.lstrip or token.rstrip or token.single_word or {" ", "\n"} & {*inside})
