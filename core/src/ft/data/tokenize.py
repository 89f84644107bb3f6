"""Rendered text to token ids, with a loss weight on each token.

A token is trained on when it overlaps a trained span. Which tokens those are is read from the
tokenizer's offsets, never from searching for text or ids.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ft.api.examples import Encoded, Origin, Rendered
from ft.data.cuts import cuts_into_words
from ft.data.media import name_of, open_medium, reader
from ft.data.offsets import token_weights
from ft.data.words import Words
from ft.errors import InputError

if TYPE_CHECKING:
    from ft.api.run import Run

TRIAL = 64
"""Texts that are encoded both ways before words are relied on."""

_WORDS: WeakKeyDictionary[Any, tuple[int, Words | None, int]] = WeakKeyDictionary()
"""Of each tokenizer: its size when it was looked at, its words if it has such, texts tried."""


def tokenize(run: Run, rendered: Sequence[Rendered]) -> list[Encoded]:
    """Tokenize rendered rows: core's default for ``ft_tokenize``.

    Rows of text go to the tokenizer in one call; a row with media goes to ``run.processor``,
    which replaces each placeholder by as many tokens as the medium has features. Raises
    :class:`ft.api.InputError`, with the row, where a medium cannot be read or does not match
    its placeholder.
    """
    _require_offsets(run.tokenizer)
    placeholders = {kind: getattr(run.processor, f"{kind}_token", None) for kind in _ARGUMENTS}
    for row in rendered:
        if row.media or any(placeholders.values()):
            _check_placeholders(run.processor, placeholders, row)
    texts = iter(_encode_texts(run, [row for row in rendered if not row.media]))
    return [_encode_media(run, row) if row.media else next(texts) for row in rendered]


def encode_text(run: Run, texts: Sequence[str]) -> list[Encoded]:
    """Encode plain text, all of it trained on.

    The tokenizer adds its own special tokens; the end token closes each text once.
    """
    if not texts:
        return []
    end = run.tokenizer.eos_token_id
    rows = run.tokenizer(list(texts), return_attention_mask=False, verbose=False)["input_ids"]
    closed = [row if end is None or row[-1:] == [end] else [*row, end] for row in rows]
    return [Encoded(row, [1.0] * len(row), _text_types(run, len(row))) for row in closed]


# -- text --------------------------------------------------------------------------------------


def _encode_texts(run: Run, rows: Sequence[Rendered]) -> list[Encoded]:
    if not rows:
        return []
    return [
        Encoded(ids, weights, _text_types(run, len(ids)), origin=row.origin)
        for (ids, weights), row in zip(_ids_and_weights(run.tokenizer, rows), rows, strict=True)
    ]


def _ids_and_weights(
    tokenizer: Any, rows: Sequence[Rendered]
) -> list[tuple[array[int], array[float]]]:
    """By way of words where the tokenizer allows it, and once that gave the same ids."""
    size, words, tried = _WORDS.get(tokenizer, (0, None, 0))
    if size != len(tokenizer):
        words = Words(tokenizer) if cuts_into_words(tokenizer) else None
    elif tried >= TRIAL and words is not None:
        return words.encode([row.text for row in rows], [row.spans for row in rows])
    found = _directly(tokenizer, rows)
    if words is not None and tried < TRIAL:
        if words.encode([row.text for row in rows], [row.spans for row in rows]) != found:
            words = None
        tried += len(rows)
    _WORDS[tokenizer] = (len(tokenizer), words, tried)
    return found


def _directly(tokenizer: Any, rows: Sequence[Rendered]) -> list[tuple[array[int], array[float]]]:
    encoding = tokenizer(
        [row.text for row in rows],
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    pairs = zip(encoding["input_ids"], encoding["offset_mapping"], rows, strict=True)
    return [(array("i", ids), token_weights(offsets, row.spans)) for ids, offsets, row in pairs]


def _text_types(run: Run, length: int) -> dict[str, Sequence[int]]:
    """The columns by which a model with media tells text, by zeros, in rows of text too."""
    if run.processor is None or run.processor is run.tokenizer:
        return {}
    names = (n for n in run.processor.model_input_names if n.endswith("token_type_ids"))
    return {name: [0] * length for name in names}


def _require_offsets(tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} does not say which text a token came from, so the loss "
            "mask cannot be made",
            hint="use a checkpoint with a tokenizer.json",
        )


# -- media -------------------------------------------------------------------------------------

_ARGUMENTS = {"image": "images", "video": "videos", "audio": "audio"}
_NOT_FOR_THE_MODEL = {
    "input_ids",
    "attention_mask",
    "offset_mapping",
    "text_replacement_offsets",
}


def _encode_media(run: Run, row: Rendered) -> Encoded:
    media = {
        argument: [
            open_medium(run.processor, part, row.origin) for part in row.media if part.type == kind
        ]
        for kind, argument in _ARGUMENTS.items()
    }
    try:
        out = run.processor(
            text=[row.text],
            # as a list for each text, as transformers does when it serves: some processors treat
            # an image among others in another way
            **{
                name: found if name == "audio" else [found]
                for name, found in media.items()
                if found
            },
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_text_replacement_offsets=True,
            return_tensors="pt",
        )
    # a processor may raise anything on odd media; what matters is whose row it was
    except Exception as error:
        names = ", ".join(map(name_of, row.media))
        raise InputError(
            f"the model's processor refuses the media of the row ({names}): {error}",
            where=_where(row.origin),
        ) from error
    replaced = (out.get("text_replacement_offsets") or [[]])[0]
    for item, part in zip(replaced, row.media, strict=False):
        if item["new_span"][0] == item["new_span"][1]:
            raise InputError(
                f"the {part.type} {name_of(part)} is too short: the model makes nothing of it",
                where=_where(row.origin),
                hint="take the row out",
            )
    offsets = [tuple(pair) for pair in out["offset_mapping"][0].tolist()]
    per_token, tensors = {}, {}
    for name, value in out.items():
        if name.endswith("token_type_ids"):
            per_token[name] = value[0].tolist()
        elif name not in _NOT_FOR_THE_MODEL:
            tensors[name] = value
    # nobody writes what stands for a medium's features, whatever else of the text is trained on
    features = [(*item["new_span"], 0.0) for item in replaced]
    return Encoded(
        out["input_ids"][0].tolist(),
        token_weights(offsets, [*_shift(row.spans, replaced), *features]),
        per_token,
        tensors,
        row.origin,
    )


def _shift(
    spans: Iterable[tuple[int, int, float]], replaced: Sequence[Mapping[str, Any]]
) -> list[tuple[int, int, float]]:
    """Spans in the text whose placeholders have grown."""
    ends = [item["span"][1] for item in replaced]
    grown = [0, *(item["new_span"][1] - item["span"][1] for item in replaced)]
    return [
        (start + grown[bisect_right(ends, start)], end + grown[bisect_right(ends, end)], weight)
        for start, end, weight in spans
    ]


def _check_placeholders(
    processor: Any, placeholders: Mapping[str, str | None], row: Rendered
) -> None:
    for kind, placeholder in placeholders.items():
        count = sum(part.type == kind for part in row.media)
        if count and reader(processor, kind) is None:
            raise InputError(
                f"the row has a part of type {kind}, and the model's processor does not take that",
                where=_where(row.origin),
                hint="choose a model for this kind of data, and install what its processor needs",
            )
        if placeholder is None:
            continue
        places = row.text.count(placeholder)
        if places != count:
            raise InputError(
                f"the rendered row has {places} of {placeholder} for {count} parts of type {kind}",
                where=_where(row.origin),
                hint=f"give one {kind} for each place, and keep {placeholder} out of the text",
            )


def _where(origin: Origin | None) -> str | None:
    return None if origin is None else str(origin)
