"""From data files to encoded rows: read, align, encode, fit, chunk by chunk."""

from __future__ import annotations

import gc
import hashlib
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
    Origin,
    Preference,
    Prompt,
)
from ft.api.run import Run
from ft.data.files import data_files
from ft.data.fit import Fit, Fitted
from ft.data.read import rows
from ft.data.report import Report
from ft.data.rows import refuse_empty
from ft.data.store import REASONS, Chunk, length_of
from ft.errors import FtError, InputError, PluginError, RowError

if TYPE_CHECKING:
    from ft.recipe.resolved import DataPart

CHUNK = 4096
"""Raw rows that are prepared, and stored, together."""
BATCH = 256
"""Examples that are encoded together: enough to keep a fast tokenizer's threads busy."""
_TURNS: Mapping[type[Example], tuple[str, ...]] = {
    Conversation: ("messages",),
    Prompt: ("messages",),
    Preference: ("prompt", "chosen", "rejected"),
    Feedback: ("prompt", "answer"),
}

Raw = Sequence[tuple[Origin, Mapping[str, Any]]]
"""Raw rows with where they stand."""


# -- reading -------------------------------------------------------------------------------


def read_chunks(part: DataPart) -> Iterator[Raw]:
    """The raw rows of a data set, at most ``part.rows`` of them, in chunks."""
    source = islice(rows(part.path, split=part.split, subset=part.subset), part.rows)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def examples_at(run: Run, part: DataPart, numbers: Sequence[int]) -> Iterator[Example]:
    """The examples of these numbers, which ascend, counted over the good rows from 0."""
    wanted, start = list(numbers), 0
    for raw in read_chunks(part):
        if not wanted:
            return
        examples = align(run, part, raw, Chunk())
        while wanted and wanted[0] < start + len(examples):
            yield examples[wanted.pop(0) - start]
        start += len(examples)


def align(run: Run, part: DataPart, raw: Raw, chunk: Chunk) -> list[Example]:
    """The examples that the format of ``part`` makes of raw rows.

    A bad row raises :class:`ft.errors.InputError` with file, row and field, or is counted in
    ``chunk``, as ``on_bad_row`` says.
    """
    align_row = run.selection.caller(part.dataset, "ft_align_row")
    examples: list[Example] = []
    for origin, row in raw:
        chunk.read += 1
        try:
            example = align_row(run=run, row=row)
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
            chunk.bad += 1
            if len(chunk.bad_reasons) < REASONS:
                chunk.bad_reasons.append(f"{origin}: {problem}")
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


def digests(part: DataPart) -> dict[str, str]:
    """The sha256 of each file of a data set, by the name under which a recipe has it."""
    found = {}
    for file in data_files(part.path, split=part.split, subset=part.subset):
        inside = file.relative_to(part.path).as_posix() if file != part.path else ""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found[f"{part.source}/{inside}" if inside else part.source] = digest
    return found


# -- encoding ------------------------------------------------------------------------------


def prepare_chunk(run: Run, part: DataPart, raw: Raw) -> Chunk:
    """Align, encode and fit some raw rows."""
    chunk = Chunk()
    with _uncollected():
        examples = align(run, part, raw, chunk)
        chunk.fitted = list(encode(run, examples))
    chunk.origins = [example.origin for example in examples if example.origin]
    return chunk


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause garbage collection: searching what is made here for cycles takes a third."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def encode(run: Run, examples: Sequence[Example]) -> Iterator[Fitted]:
    """Encode examples with the trainer of the run, and hold them against ``max_length``.

    Rows that are longer are dropped, cut or refused, as ``over_length`` says; rows without a
    trained token are dropped.
    """
    trainer = run.part("trainer")
    _check_types(trainer, examples)
    fits = Fit(trainer.options.max_length, trainer.options.over_length)
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        encoded = run.hook.ft_encode(run=run, examples=batch)
        if encoded is None or len(encoded) != len(batch):
            made = "nothing" if encoded is None else f"{len(encoded)} rows"
            raise PluginError(
                f"trainer:{trainer.name}", f"ft_encode made {made} of {len(batch)} examples"
            )
        yield from map(fits, batch, encoded)


def _check_types(trainer: Any, examples: Sequence[Example]) -> None:
    for kind, example in {type(example): example for example in reversed(examples)}.items():
        if trainer.takes and not issubclass(kind, trainer.takes):
            raise InputError(
                f"the row is a {kind.__name__}, and trainer {trainer.name} learns from "
                + " or ".join(taken.__name__ for taken in trainer.takes),
                where=str(example.origin) if example.origin else None,
                hint="choose another trainer, or say what the data is: format: <name>",
            )


# -- examples that are there already -----------------------------------------------------------


class Prepared(Sequence[Any]):
    """Encoded rows in memory, each an :class:`ft.api.Encoded` or a mapping from names to them.

    ``lengths`` are their tokens (of a mapping: the longest of it).
    """

    def __init__(self, rows: list[Any], report: Report):
        self.rows = rows
        self.lengths = [length_of(row) for row in rows]
        self.report = report

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]


def encode_examples(run: Run, examples: Sequence[Example]) -> Prepared:
    """Encode examples that are in memory, and keep the rows that can be trained on.

    Raises :class:`ft.errors.InputError` where nothing is left.
    """
    report = Report(rows=len(examples), chosen=len(examples))
    kept: list[Any] = []
    for result in encode(run, examples):
        report.add(result)
        kept += result.rows
    prepared = Prepared(kept, report)
    report.kept = len(kept)
    report.longest = max(prepared.lengths, default=0)
    refuse_empty(report, run.part("trainer").options.max_length)
    return prepared
