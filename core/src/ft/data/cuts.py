r"""Which tokenizers cut every text at the same places, read from their parts.

A byte-pair tokenizer of the GPT-2 line cuts a text into pieces by a pattern, and merges within
a piece only. All patterns of that line cut

* before a single space between two characters that are none, since nothing but white space
  reaches over a space from the left;
* before the last space of a run with a visible character behind it: of a run of white space
  they leave the last space to the word (``\s+(?!\S)``);
* behind a single line end between two such characters, the second of which is no slash (some
  patterns take slashes along with the line ends behind a sign);
* around added tokens, which are found before the pattern is asked.
"""

from __future__ import annotations

import json
from typing import Any

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
