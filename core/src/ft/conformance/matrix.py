"""Whether installed plugins train together: every pair of kinds, tried and kept in a file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ft.conformance.pairs import KINDS, Trial, Tryout
from ft.conformance.process import Limits, Lost, Worker, prepare_environment
from ft.conformance.report import digest_of
from ft.errors import InputError
from ft.plugins.index import Index
from ft.plugins.record import Record
from ft.recipe.matrix import Matrix
from ft.recipe.matrix import matrix as judge

LIBRARIES = ("ft-core", "torch", "transformers", "peft")
"""Their versions are kept with the results."""
AGAIN = ("failed", "not-run", "refused")
"""What is tried again although nothing has changed."""
DIGITS = 4
"""Of a loss, as it is kept."""

Pair = tuple[Record, Record]
Trials = Sequence[Sequence[Trial]]
"""Row by row, as the cells of a table."""


def id_of(pair: Pair) -> str:
    """The key of a pair in a file of results."""
    return " ".join(record.id for record in pair)


class Results:
    """Trials by pair in a JSON file, written after each, so that a later run goes on from it.

    A trial counts until one of its two distributions is installed in another form, or another
    version of the core or of a library that all of them use.
    """

    def __init__(self, file: Path | None):
        self._file = file
        self.date = ""
        self.versions: dict[str, str] = {}
        self._stamps: dict[str, str] = {}
        self._trials: dict[str, Trial] = {}
        if file is not None and file.exists():
            try:
                self._read(json.loads(file.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    "this is no file of results of ft matrix --run",
                    where=str(file),
                    hint="name another, which is made",
                ) from error

    def _read(self, found: Mapping[str, Any]) -> None:
        self.date, self.versions = found["date"], dict(found["versions"])
        self._stamps = dict(found["plugins"])
        for id, trial in found["pairs"].items():
            whole = {"why": (), "losses": (), **trial}
            why, losses = tuple(whole.pop("why")), tuple(whole.pop("losses"))
            self._trials[id] = Trial(why=why, losses=losses, **whole)

    def of(self, pair: Pair) -> Trial | None:
        """What is known of a pair, as it is installed."""
        same = all(self._stamps.get(record.id) == _stamp(record) for record in pair)
        return self._trials.get(id_of(pair)) if same and self.versions == _versions() else None

    def keep(self, pair: Pair, trial: Trial) -> None:
        """Note a trial, and forget what is older than one of its plugins or the libraries."""
        if self.versions != _versions():
            self.versions, self._stamps, self._trials = _versions(), {}, {}
        for record in pair:
            if self._stamps.get(record.id) != _stamp(record):
                self._forget(record.id)
                self._stamps[record.id] = _stamp(record)
        self._trials[id_of(pair)] = trial
        self.date = datetime.now(UTC).date().isoformat()
        if self._file is not None:
            self._write(self._file)

    def of_table(self, table: Matrix, index: Index) -> tuple[Matrix, Trials]:
        """The table with what was found to be said against each pair, and the trials."""
        found = [self.of(pair) for pair, _ in pairs_of(table, index)]
        known = [trial or Trial("failed", ("it was not tried",)) for trial in found]
        width = len(table.columns)
        rows = [known[start : start + width] for start in range(0, len(known), width or 1)]
        cells = tuple(tuple(trial.why for trial in row) for row in rows)
        return replace(table, cells=cells), rows

    def _forget(self, plugin: str) -> None:
        self._trials = {
            id: trial for id, trial in self._trials.items() if plugin not in id.split(" ")
        }

    def _write(self, file: Path) -> None:
        """One pair a line, so that a change of one is a change of one line."""
        head = {
            "date": self.date,
            "versions": self.versions,
            "plugins": dict(sorted(self._stamps.items())),
        }
        lines = ",\n".join(
            f"{json.dumps(id)}: {json.dumps(_short(trial), ensure_ascii=False)}"
            for id, trial in sorted(self._trials.items())
        )
        text = json.dumps(head, indent=0)[:-2] + f',\n"pairs": {{\n{lines}\n}}\n}}\n'
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)


def _short(trial: Trial) -> dict[str, Any]:
    """A trial without what is empty, its losses rounded."""
    found = asdict(trial) | {"losses": [float(f"{x:.{DIGITS}g}") for x in trial.losses]}
    return {key: value for key, value in found.items() if value not in ((), [], None)}


@cache
def _stamp(record: Record) -> str:
    """Another one for another content of the distribution."""
    return f"{record.version} {digest_of(record)[:12]}".strip()


@cache
def _versions() -> dict[str, str]:
    import platform

    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def tables_of(
    index: Index, kinds: Sequence[tuple[str, str]], only: Sequence[str] = ()
) -> list[Matrix]:
    """What is judged of pairs of kinds without trying them. Raises for kinds that cannot be.

    With ids in ``only``, no pairs but those of these plugins.
    """
    for pair in kinds:
        odd = [kind for kind in pair if kind not in KINDS] or [pair[0]] * (pair[0] == pair[1])
        if odd:
            raise InputError(
                f"a run is not tried with a {odd[0]} in such a pair",
                hint=f"two of {', '.join(KINDS)}",
            )
    for id in only:
        kind, _, name = id.partition(":")
        index.find(kind, name)
    tables = [_restricted(judge(index, *pair), only) for pair in kinds]
    return [table for table in tables if not only or table.cells]


def _restricted(table: Matrix, only: Sequence[str]) -> Matrix:
    """The rows and columns of a table that hold pairs of the plugins of these ids; all for none."""
    if not only:
        return table
    rows, columns = (
        [f"{kind}:{name}" in only for name in names]
        for kind, names in zip(table.kinds, (table.rows, table.columns), strict=True)
    )
    # a named row has all columns, and a named column all rows
    kept_rows = [n for n, named in enumerate(rows) if named or any(columns) > any(rows)]
    kept_columns = [n for n, named in enumerate(columns) if named or any(rows) > any(columns)]
    return replace(
        table,
        rows=tuple(table.rows[n] for n in kept_rows),
        columns=tuple(table.columns[n] for n in kept_columns),
        cells=tuple(tuple(table.cells[r][c] for c in kept_columns) for r in kept_rows),
    )


def pairs_of(table: Matrix, index: Index) -> Iterator[tuple[Pair, tuple[str, ...]]]:
    """The pairs of a table, with the reasons against each."""
    rows, columns = (
        [index.find(kind, name) for name in names]
        for kind, names in zip(table.kinds, (table.rows, table.columns), strict=True)
    )
    cells = (reasons for row in table.cells for reasons in row)
    yield from zip(product(rows, columns), cells, strict=True)


def try_tables(
    tables: Sequence[Matrix],
    index: Index,
    results: Results,
    *,
    jobs: int | None = None,
    limits: Limits | None = None,
) -> Iterator[tuple[str, Trial]]:
    """Try each pair of the tables that nothing is known of; what came of it as it comes.

    A pair that does not fit is noted as refused without a run.
    """
    waiting: list[Pair] = []
    for pair, reasons in (found for table in tables for found in pairs_of(table, index)):
        known = results.of(pair)
        if reasons:
            if known != (trial := Trial("refused", reasons)):
                results.keep(pair, trial)
        elif known is None or known.became in AGAIN:
            waiting.append(pair)
    for pair, trial in _tried(waiting, jobs or os.cpu_count() or 1, limits or Limits(seconds=60)):
        results.keep(pair, trial)
        yield id_of(pair), trial


def _tried(pairs: Sequence[Pair], jobs: int, limits: Limits) -> Iterator[tuple[Pair, Trial]]:
    """Try pairs in ``jobs`` processes side by side, as they are done."""
    prepare_environment()
    free: SimpleQueue[Worker] = SimpleQueue()

    def one(pair: Pair) -> tuple[Pair, Trial]:
        worker = free.get()
        try:
            return pair, _ask(worker, pair)
        finally:
            free.put(worker)

    with (
        tempfile.TemporaryDirectory(prefix="ft-matrix-", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(jobs) as pool,
    ):
        workers = [Worker(Tryout, (), Path(folder) / str(n), limits) for n in range(jobs)]
        for worker in workers:
            free.put(worker)
        waiting = [pool.submit(one, pair) for pair in pairs]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for worker in workers:
                worker.stop()


def _ask(worker: Worker, pair: Pair) -> Trial:
    """Try a pair; one that fails is tried once more in a process that has tried nothing else.

    What an earlier pair left behind there is not held against it.
    """
    tries = 2 if worker.is_started else 1
    for _ in range(tries):
        try:
            trial: Trial = worker.ask(pair)
        except Lost as lost:
            trial = Trial("failed", (str(lost),))
        if trial.became != "failed":
            break
        worker.stop()
    return trial
