"""One data set of a recipe, prepared: from the cache, or made and put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ft.api.run import Run
from ft.data import cache
from ft.data.files import data_files
from ft.data.fingerprint import fingerprint
from ft.data.prepare import digests, prepare_chunk, read_chunks
from ft.data.report import Report
from ft.data.rows import Rows, joined_table, refuse_empty
from ft.data.seeds import seeded
from ft.data.store import REASONS, Chunk, Kept, NotFlatError, Store, is_whole
from ft.data.workers import Task, pickled, worker_count, write, write_all

if TYPE_CHECKING:
    from ft.recipe.resolved import DataPart


LINES = frozenset({".jsonl", ".txt", ".csv", ".tsv"})
"""Files with about one row in each line."""


SERIAL = 8
"""Chunks that this process encodes before it starts others, which takes as long as these."""


@dataclass(frozen=True, slots=True)
class Set:
    """The rows of one data set.

    ``folder`` is where they lie, ``None`` where they are in memory; ``made`` says whether any
    of them had to be encoded. ``digest`` is the sha256 of each data file.
    """

    name: str
    rows: Store | Kept
    digest: dict[str, str]
    folder: Path | None = None
    made: bool = True


def prepare_set(run: Run, part: DataPart, root: Path) -> Set:
    """The rows of a data set, read from the cache in ``root`` or encoded now.

    Rows that flat arrays cannot hold are encoded into memory, in every process; so are all
    where the cache cannot be written.
    """
    digest = digests(part)
    key = fingerprint(run, part, digest)
    folder = cache.folder_of(root, key)
    try:
        with cache.alone(
            folder,
            first=run.process.local_rank == 0,
            waiting=lambda: run.progress.say(f"{part.source}: another process prepares it"),
        ):
            found = cache.open_complete(folder)
            made = found is None
            if found is None:
                cache.write_key(folder, key)
                found = _make(run, part, folder)
        cache.touch(folder)
        result = Set(part.name, found, digest, folder, made)
    except NotFlatError:
        cache.remove(folder)
        result = Set(part.name, Kept(_chunks(run, part)), digest)
    except OSError as error:
        run.progress.warn(f"the cache {folder} cannot be used ({error}); rows stay in memory")
        result = Set(part.name, Kept(_chunks(run, part)), digest)
    _warn_of_bad_rows(run, part, result.rows)
    return result


def rows_of(run: Run, sets: Sequence[Set], examples: np.ndarray) -> Rows:
    """The rows of these examples, with a report.

    Raises :class:`ft.errors.InputError` where none is left to train on.
    """
    found = [one.rows for one in sets]
    report = Report(
        rows=sum(one.read for one in found),
        bad=sum(one.bad for one in found),
        bad_reasons=[reason for one in found for reason in one.bad_reasons][:REASONS],
        digest={name: digest for one in sets for name, digest in one.digest.items()},
    )
    rows = Rows(found, joined_table(found), examples, report)
    refuse_empty(report, run.part("trainer").options.max_length)
    return rows


def _make(run: Run, part: DataPart, folder: Path) -> Store:
    """Encode the chunks that are not there yet."""
    advance = _track(run, part)
    found = 0

    def missing() -> Iterator[Task]:
        nonlocal found
        for number, raw in enumerate(read_chunks(part)):
            found = number + 1
            file = cache.chunk_file(folder, number)
            if is_whole(file):
                advance(len(raw))
            else:
                yield number, raw, file

    tasks = missing()
    for task in islice(tasks, SERIAL):
        advance(write(run, part, task))
    first = next(tasks, None)
    if first is not None:
        tasks = chain([first], tasks)
        about = pickled(run, part) if worker_count() > 1 else None
        for rows in write_all(about, tasks) if about else map(partial(write, run, part), tasks):
            advance(rows)
    return cache.write_complete(folder, found)


def _chunks(run: Run, part: DataPart) -> Iterator[Chunk]:
    advance = _track(run, part)
    for number, raw in enumerate(read_chunks(part)):
        with seeded(run.seed, number):
            yield prepare_chunk(run, part, raw)
        advance(len(raw))


def _track(run: Run, part: DataPart) -> Callable[[float], None]:
    total = _line_count(part)
    if total is not None and part.rows is not None:
        total = min(total, part.rows)
    return run.progress.track(f"preparing {part.name}", total, "rows")


def _line_count(part: DataPart) -> int | None:
    """The rows that there will be, where counting them is cheap; it may be a few too many."""
    total = 0
    for file in data_files(part.path, split=part.split, subset=part.subset):
        if file.suffix not in LINES:
            return None
        with file.open("rb") as stream:
            total += sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    return total


def _warn_of_bad_rows(run: Run, part: DataPart, found: Store | Kept) -> None:
    if found.bad:
        run.progress.warn(
            f"{part.source}: {found.bad} of {found.read} rows are bad and left out; "
            f"the first: {found.bad_reasons[0]}"
        )
