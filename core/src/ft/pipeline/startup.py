"""What is looked at before the first step: mistakes that a loss curve does not show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from math import ceil
from typing import Any

from ft.api import Conversation, Encoded, Example, Feedback, Preference, Run
from ft.data.fit import LONG, LONG_MEDIA, LONG_PROMPT, sequences_of
from ft.data.read import rows
from ft.data.render import agrees, own_template
from ft.errors import InputError, RowError
from ft.recipe.resolved import DataPart, Resolved
from ft.training.sample import prompts_of

ROWS = 32
"""Rows of each data set that are looked at whole."""
MEASURED = 1000
"""Rows whose lengths are measured for an advice on ``max_length``."""
MOST = 0.5
"""The share of rows from which on an oddity is a mistake of the recipe, not of a row."""
_TURNS = {
    Conversation: ("messages",),
    Preference: ("prompt", "chosen", "rejected"),
    Feedback: ("prompt", "answer"),
}


def check_start(run: Run, resolved: Resolved) -> None:
    """Look at the first rows as they are trained, and show one of them.

    Raises :class:`InputError` where the data is full of control tokens, where turns end
    without a loss on the end, and where more than ``trainer.max_cut`` of the rows is cut or
    dropped for their length.
    """
    if not run.eval_prompts and resolved.eval_data:
        run.eval_prompts = prompts_of(first_examples(run, resolved.eval_data[:1], ROWS))
    _refuse_unsampled(run)
    examples = list(first_examples(run, resolved.data, ROWS))
    look_for_control_tokens(run, examples)
    look_at_turn_ends(run, examples, _encoded(run, examples))
    refuse_cut(run, resolved.data)
    if run.process.is_main:
        run.progress.example(trained_pieces(run, _first_document(run)))


def first_examples(run: Run, parts: Sequence[DataPart], count: int) -> Iterator[Example]:
    """The first ``count`` good rows of each part, read and aligned."""
    for part in parts:
        align = run.selection.caller(part.dataset, "ft_align_row")
        source = rows(part.path, split=part.split, subset=part.subset)
        for origin, row in islice(source, min(count, part.rows or count)):
            try:
                example = align(run=run, row=row)
            except RowError:
                continue  # what becomes of a bad row was decided when the data was prepared
            example.origin = origin
            yield example


def _encoded(run: Run, examples: Sequence[Example]) -> list[Any]:
    """The examples as the trainer encodes them, uncut; those with media are left out."""
    plain = [e for e in examples if not any(message.media for message in _messages(e))]
    return list(run.hook.ft_encode(run=run, examples=plain)) if plain else []


def _messages(example: Example) -> Iterator[Any]:
    for name in _TURNS.get(type(example), ()):
        yield from getattr(example, name)


# -- the template and the data ----------------------------------------------------------------


def look_for_control_tokens(run: Run, examples: Sequence[Example]) -> None:
    """Text that holds the model's control tokens was rendered before.

    An error where most rows do, a warning where some do: the text of a turn would end it, or
    begin another one.
    """
    control = control_tokens(run)
    found: list[tuple[Example, str]] = []
    for example in examples:
        text = "\n".join(message.text for message in _messages(example))
        hit = next((token for token in control if token in text), None)
        if hit is not None:
            found.append((example, hit))
    if not found:
        return
    example, token = found[0]
    where = str(example.origin) if example.origin else None
    if len(found) >= MOST * len(examples):
        raise InputError(
            f"{len(found)} of the first {len(examples)} rows have control tokens of this model in "
            f"their text, such as {token}: they were rendered before, and would be rendered twice",
            where=where,
            hint="give the messages as they are, or train on the text with a trainer for plain "
            "text",
        )
    run.progress.warn(
        f"{where}: the text holds {token}, which is a control token of this model, as do "
        f"{len(found)} of the first {len(examples)} rows; it is read as such, not as text"
    )


def control_tokens(run: Run) -> list[str]:
    """The tokens that stand for structure, longest first; those for media belong into text."""
    known = getattr(run.tokenizer, "added_tokens_decoder", {}).values()
    special = {token.content for token in known if token.special}
    media = {getattr(run.processor, f"{kind}_token", None) for kind in ("image", "video", "audio")}
    return sorted(special - media, key=len, reverse=True)


# -- the ends of turns -------------------------------------------------------------------------


def look_at_turn_ends(run: Run, examples: Sequence[Example], encoded: Sequence[Any]) -> None:
    """Refuse a run whose model would never learn to stop.

    A trained stretch has to end with a token that ends a turn: one of :func:`stop_ids`. Where
    such a token follows right behind most stretches and has no loss, the template's marks end
    too early; where no row of conversations trains one at all, nothing ends a turn. A template
    whose turn ends are no tokens of a checkpoint that has a template of its own is refused too.
    """
    stops, texts = stop_ids(run), _stops_of_many_tokens(run)
    talks = any(isinstance(example, tuple(_TURNS)) for example in examples)
    ends = [end for row in encoded for s in sequences_of(row) for end in stretch_ends(s, stops)]
    if not ends or not stops or not talks:
        return
    names = ", ".join(sorted(run.tokenizer.decode([token]) for token in stops))
    hint = (
        "have the template's {% generation %} marks enclose the end of the turn; `ft data show` "
        "prints a row token by token"
    )
    untrained = [end for end in ends if end.stop_follows]
    if len(untrained) >= MOST * len(ends):
        raise InputError(
            f"the end of a turn ({names}) has no loss in {len(untrained)} of {len(ends)} trained "
            "stretches: the model would never learn to stop",
            hint=hint,
        )
    ended_by_text = texts and any(
        text in run.tokenizer.decode(list(s.input_ids))
        for row in encoded
        for s in sequences_of(row)
        for text in texts
    )
    if ended_by_text:
        found = f"the template ends a turn with {texts[0]}, which is several tokens to this model"
        if own_template(run) is not None and agrees(run, run.part("template")) is not True:
            raise InputError(
                f"{found}, and the checkpoint has a chat template of its own: they disagree",
                hint="leave template out of the recipe, or make the text a token: "
                f"model.new_tokens: {{{texts[0]!r}: the end of a turn}}",
            )
        run.progress.warn(
            f"{found}: the model learns to write it, and an engine may not know to stop there"
        )
    elif not any(end.has_stop for end in ends):
        raise InputError(
            f"no trained stretch of the first rows holds a token that ends a turn ({names}): the "
            "model would never learn to stop",
            hint=hint,
        )


@dataclass(frozen=True, slots=True)
class StretchEnd:
    """How a trained stretch ends: with a stop token in it, and with one right behind it."""

    has_stop: bool
    stop_follows: bool


def stretch_ends(sequence: Encoded, stops: set[int]) -> Iterator[StretchEnd]:
    """The ends of the trained stretches of a sequence."""
    ids, start = list(sequence.input_ids), 0
    for trained, group in groupby(weight > 0 for weight in sequence.weights):
        end = start + len(list(group))
        if trained:
            has_stop = bool(stops.intersection(ids[start:end]))
            follows = end < len(ids) and ids[end] in stops
            yield StretchEnd(has_stop, follows and ids[end - 1] not in stops)
        start = end


def _stops_of_many_tokens(run: Run) -> list[str]:
    """The template's stop strings that no single token stands for."""
    template = run.part("template")
    stops = template.stop if template is not None else ()
    return [t for t in stops if len(run.tokenizer.encode(t, add_special_tokens=False)) > 1]


def stop_ids(run: Run) -> set[int]:
    """The ids that end a turn: of the tokenizer, the checkpoint and the template."""
    from transformers import GenerationConfig

    found = [getattr(run.tokenizer, "eos_token_id", None)]
    configs: list[Any] = [run.config]
    if (run.model_folder / "generation_config.json").is_file():
        configs.append(GenerationConfig.from_pretrained(run.model_folder))
    for config in configs:
        ids = getattr(config, "eos_token_id", None)
        found += ids if isinstance(ids, list) else [ids]
    template = run.part("template")
    for text in template.stop if template is not None else ():
        ids = run.tokenizer.encode(text, add_special_tokens=False)
        found += ids if len(ids) == 1 else []
    return {token for token in found if token is not None}


# -- lengths -----------------------------------------------------------------------------------


def refuse_cut(run: Run, parts: Sequence[DataPart]) -> None:
    """Refuse a run that would lose more than ``trainer.max_cut`` of its rows to their length."""
    options, report = run.part("trainer").options, getattr(run.data, "report", None)
    if report is None or not report.chosen:
        return
    lost = report.truncated + sum(
        report.dropped[reason] for reason in (LONG, LONG_PROMPT, LONG_MEDIA)
    )
    if lost / report.chosen <= options.max_cut:
        return
    lengths = sorted(
        max(map(len, sequences_of(row)), default=0)
        for row in _encoded(run, list(first_examples(run, parts, MEASURED)))
    )
    measured = ""
    if lengths:
        shares = {f"{share:.0%}": _quantile(lengths, share) for share in (0.5, 0.9, 0.99, 1)}
        measured = "; of the first rows " + ", ".join(
            f"{share} have up to {length} tokens" for share, length in shares.items()
        )
    raise InputError(
        f"{lost:,} of {report.chosen:,} rows ({lost / report.chosen:.0%}) are longer than "
        f"trainer.max_length, {options.max_length}, and would be cut or dropped{measured}",
        hint=(f"trainer.max_length: {_quantile(lengths, 0.99)} holds 99 %; " if lengths else "")
        + f"trainer.max_cut: {ceil(100 * lost / report.chosen) / 100:.2f} goes on without them",
    )


def _quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that is not below ``share`` of all."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 100) * len(ordered) // 100) - 1))]


# -- what is shown -----------------------------------------------------------------------------


def _first_document(run: Run) -> Encoded | None:
    """The first sequence with something trained, of a row or of a pack; else the first prompt."""
    first: Encoded | None = None
    for row in islice(iter(run.data), ROWS):
        for document in row if isinstance(row, list) else [row]:
            for sequence in sequences_of(document):
                if any(sequence.weights):
                    return sequence
                first = first or sequence
    return first


def trained_pieces(run: Run, sequence: Encoded | None) -> list[tuple[str, bool]]:
    """The text of a sequence in pieces that are trained or not."""
    if sequence is None:
        return []
    pairs: Iterable[tuple[int, bool]] = zip(
        map(int, sequence.input_ids), (weight > 0 for weight in sequence.weights), strict=True
    )
    return [
        (run.tokenizer.decode([token for token, _ in group]), trained)
        for trained, group in ((t, list(g)) for t, g in groupby(pairs, key=lambda pair: pair[1]))
    ]


def _refuse_unsampled(run: Run) -> None:
    if run.part("trainer").options.sample_every is None:
        return
    if run.part("engine") is None:
        raise InputError(
            "trainer.sample_every has the model answer, and no engine is selected",
            hint="add one, such as engine: transformers, or leave sample_every out",
        )
    if not run.eval_prompts:
        raise InputError(
            "trainer.sample_every answers prompts of the evaluation data, and there are none",
            hint="set eval_split or eval_data to rows that are conversations, or leave it out",
        )
