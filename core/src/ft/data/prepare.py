"""From data files to encoded rows: read, align, choose, encode, and account for every row."""

from __future__ import annotations

import gc
import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api.examples import (
    Conversation,
    Example,
    Feedback,
    Message,
    Preference,
    Prompt,
)
from ft.api.run import Run
from ft.data.files import data_files
from ft.data.fit import CUT, LONG, LONG_PROMPT, UNTRAINED, Fit, Fitted, sequences_of
from ft.data.mix import weighted
from ft.data.read import rows
from ft.data.report import Report
from ft.errors import FtError, InputError, PluginError, RowError

if TYPE_CHECKING:
    from ft.recipe.resolved import DataPart

BATCH = 256
"""Examples that are encoded together: enough to keep a fast tokenizer's threads busy."""
_REASONS = 5
_TURNS: Mapping[type[Example], tuple[str, ...]] = {
    Conversation: ("messages",),
    Prompt: ("messages",),
    Preference: ("prompt", "chosen", "rejected"),
    Feedback: ("prompt", "answer"),
}


class Prepared(Sequence[Any]):
    """Encoded rows, each an :class:`ft.api.Encoded` or a mapping from names to them.

    ``lengths`` are their tokens (of a mapping: the longest of it).
    """

    def __init__(self, rows: list[Any], report: Report):
        self.rows = rows
        self.lengths = [max(map(len, sequences_of(row)), default=0) for row in rows]
        self.report = report

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]


# -- reading -------------------------------------------------------------------------------


def load_examples(run: Run, parts: Sequence[DataPart]) -> tuple[list[Example], Report]:
    """Read and align the rows of ``parts``, as often as their weights say.

    A row that a weight takes twice is the same object twice. A bad row raises
    :class:`ft.errors.InputError` with file, row and field, or is counted, as ``on_bad_row``
    of its part says.
    """
    examples: list[Example] = []
    report = Report()
    for part in parts:
        report.digest |= _digest(part)
        with _uncollected():
            read = _align(run, part, report)
        if part.weight != 1:
            chosen = weighted(len(read), part.weight, f"{run.seed}/{part.name}")
            read = [read[index] for index in chosen]
        examples += read
    report.chosen = len(examples)
    return examples, report


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause garbage collection: all that is made lives on, and searching it takes a third."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _align(run: Run, part: DataPart, report: Report) -> list[Example]:
    align = run.selection.caller(part.dataset, "ft_align_row")
    examples: list[Example] = []
    bad = 0
    source = islice(rows(part.path, split=part.split, subset=part.subset), part.rows)
    for origin, row in source:
        report.rows += 1
        try:
            example = align(run=run, row=row)
            if example is None:
                raise PluginError(
                    f"dataset:{part.dataset.name}", "made nothing of a row", where=str(origin)
                )
            example.origin = origin
            for name in _TURNS.get(type(example), ()):
                _resolve_media(getattr(example, name), origin.file)
        except RowError as error:
            problem = f"{error.field}: {error.message}" if error.field else error.message
            if part.on_bad_row == "error":
                raise InputError(
                    problem,
                    where=str(origin),
                    hint=error.hint or "mend the row, or set on_bad_row: skip",
                ) from error
            bad += 1
            if len(report.bad_reasons) < _REASONS:
                report.bad_reasons.append(f"{origin}: {problem}")
        except FtError:
            raise
        except Exception as error:
            raise PluginError(
                f"dataset:{part.dataset.name}",
                f"fails on a row with {type(error).__name__}: {error}",
                where=str(origin),
                hint="a format says what is wrong with a row by ft.api.RowError",
            ) from error
        else:
            examples.append(example)
    if bad:
        report.bad += bad
        run.progress.warn(
            f"{part.source}: {bad} of {bad + len(examples)} rows are bad and left out; "
            f"the first: {report.bad_reasons[-1] if bad == 1 else report.bad_reasons[0]}"
        )
    return examples


def _resolve_media(messages: Iterable[Message], file: str) -> None:
    """Make paths of media absolute: those in a data file count from its folder."""
    for message in messages:
        if isinstance(message.content, str):
            continue
        for part in message.content:
            source = part.source
            if part.type == "text" or not isinstance(source, str):
                continue
            if "://" in source or source.startswith("data:"):
                continue
            path = Path(file).parent.absolute() / source
            if not path.is_file():
                raise RowError(
                    f"there is no file {source}",
                    field=part.type,
                    hint=f"it was looked for at {path}; paths count from the data file's folder",
                )
            part.source = str(path)


def _digest(part: DataPart) -> dict[str, str]:
    digests = {}
    for file in data_files(part.path, split=part.split, subset=part.subset):
        inside = file.relative_to(part.path).as_posix() if file != part.path else ""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        digests[f"{part.source}/{inside}" if inside else part.source] = digest
    return digests


def split_eval(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """Set some examples aside: a share below 1 (at least one), or else that many of them.

    Returns those to train on and those set aside, each in its order. An example that a
    weight repeats is on one side only, and once among those set aside.

    Raises :class:`ft.errors.InputError` where one side would be empty.
    """
    distinct = {id(example): example for example in examples}
    count = max(1, round(share * len(distinct))) if share < 1 else int(share)
    if not 0 < count < len(distinct):
        raise InputError(
            f"an evaluation split of {share:g} takes {count} of {len(distinct)} rows",
            hint="choose eval_split so that rows are left on both sides, or leave it out",
        )
    held_out = set(random.Random(f"{seed}/eval").sample(list(distinct), count))
    train = [example for example in examples if id(example) not in held_out]
    return train, [example for key, example in distinct.items() if key in held_out]


# -- encoding ------------------------------------------------------------------------------


def encode_examples(
    run: Run, examples: Sequence[Example], report: Report | None = None
) -> Prepared:
    """Encode examples with the trainer of the run, and keep the rows that can be trained on.

    Rows longer than ``max_length`` are dropped, cut or refused, as ``over_length`` says; rows
    without a trained token are dropped. Each is counted in ``report``.

    Raises :class:`ft.errors.InputError` where nothing is left.
    """
    if report is None:
        report = Report(rows=len(examples), chosen=len(examples))
    trainer = run.part("trainer")
    _check_types(trainer, examples)
    distinct = list({id(example): example for example in examples}.values())
    advance = run.progress.track("preparing data", len(distinct), "rows")
    fits = Fit(trainer.options.max_length, trainer.options.over_length)
    fitted: dict[int, Fitted] = {}
    for start in range(0, len(distinct), BATCH):
        batch = distinct[start : start + BATCH]
        encoded = run.hook.ft_encode(run=run, examples=batch)
        if encoded is None or len(encoded) != len(batch):
            made = "nothing" if encoded is None else f"{len(encoded)} rows"
            raise PluginError(
                f"trainer:{trainer.name}", f"ft_encode made {made} of {len(batch)} examples"
            )
        for example, row in zip(batch, encoded, strict=True):
            fitted[id(example)] = fits(example, row)
        advance(len(batch))
    kept: list[Any] = []
    for example in examples:
        result = fitted[id(example)]
        report.truncated += result.truncated
        report.truncated_answers += result.truncated_answer
        if result.dropped:
            report.dropped[result.dropped] += 1
            continue
        kept += result.rows
        report.tokens += result.tokens
        report.trained_tokens += result.trained
    prepared = Prepared(kept, report)
    report.kept = len(kept)
    report.longest = max(prepared.lengths, default=0)
    if not kept:
        raise InputError(
            f"no row is left to train on: {report.rows} read, {report.bad} bad, "
            f"{report.chosen} chosen by weight"
            + "".join(f", {count} dropped ({why})" for why, count in report.dropped.items()),
            hint=_advice(report, trainer.options.max_length),
        )
    return prepared


def _check_types(trainer: Any, examples: Sequence[Example]) -> None:
    for kind, example in {type(example): example for example in reversed(examples)}.items():
        if trainer.takes and not issubclass(kind, trainer.takes):
            raise InputError(
                f"the row is a {kind.__name__}, and trainer {trainer.name} learns from "
                + " or ".join(taken.__name__ for taken in trainer.takes),
                where=str(example.origin) if example.origin else None,
                hint="choose another trainer, or say what the data is: format: <name>",
            )


def _advice(report: Report, max_length: int) -> str:
    if report.dropped[LONG] + report.dropped[LONG_PROMPT] + report.dropped[CUT] > 0:
        return f"raise trainer.max_length, which is {max_length}"
    if report.dropped[UNTRAINED]:
        return "the template marks nothing as trained, or trainer.train_on leaves it out"
    return "look at the data files, and at rows and weight of each data entry"
