"""Encoded rows as flat arrays on disk, mapped into memory: however many there are, few are held.

A chunk is one file in the safetensors format. Its arrays are

* of examples: ``rows`` (how many rows became of each), ``dropped`` (an index into the chunk's
  ``reasons``), ``cut`` (1: truncated, 2: inside of what is trained on as well, 3: cut into several
  rows), ``tokens``, ``trained``, ``file`` (an index into the chunk's ``files``), ``number`` (the
  row's in its file);
* of each sequence of a row (one without a name, or those of a mapping by their names):
  ``start`` and ``length`` in ``ids``; weights as runs, ``runs`` where those of a row start, and
  for each run its ``until`` and its ``weight``; one array for each ``per_token`` column;
* of each number of a mapping: ``value``.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ft.api.examples import Encoded, Origin
from ft.data.fit import Fitted, sequences_of

PLAIN = ""
"""The name of the sequence of a row that is no mapping."""
REASONS = 5
"""Bad rows of which the reason is kept."""
EXAMPLE = ("rows", "dropped", "cut", "tokens", "trained", "file", "number")


class NotFlatError(Exception):
    """A row has something that flat arrays cannot hold, such as media or an example."""


@dataclass(slots=True)
class Chunk:
    """Some raw rows in a row, prepared: ``read`` of them, the ``bad`` ones left out.

    ``fitted`` are the good ones, with where each stood in ``origins``.
    """

    read: int = 0
    bad: int = 0
    bad_reasons: list[str] = field(default_factory=list)
    fitted: list[Fitted] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)


@dataclass(slots=True)
class Table:
    """What became of examples: arrays over them, the names of what they were dropped for, and of
    the files that they stood in.
    """

    rows: np.ndarray
    dropped: np.ndarray
    cut: np.ndarray
    tokens: np.ndarray
    trained: np.ndarray
    file: np.ndarray
    number: np.ndarray
    reasons: list[str]
    files: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    def origin(self, example: int) -> Origin:
        """Where an example stood."""
        return Origin(self.files[self.file[example]], int(self.number[example]))


# -- writing -------------------------------------------------------------------------------


def table_of(fitted: Sequence[Fitted], origins: Sequence[Origin]) -> Table:
    """The table of some examples."""
    reasons = sorted({one.dropped for one in fitted})
    files = list(dict.fromkeys(origin.file for origin in origins))
    place = {file: index for index, file in enumerate(files)}
    return Table(
        np.array([len(one.rows) for one in fitted], np.int32),
        np.array([reasons.index(one.dropped) for one in fitted], np.uint8),
        np.array([3 if f.split else f.truncated + f.truncated_answer for f in fitted], np.uint8),
        np.array([one.tokens for one in fitted], np.int64),
        np.array([one.trained for one in fitted], np.int64),
        np.array([place[origin.file] for origin in origins], np.int32),
        np.array([origin.row for origin in origins], np.int64),
        reasons,
        files,
    )


def write_chunk(chunk: Chunk, file: Path) -> None:
    """Write a chunk; the file appears under its name when it is complete.

    Raises :class:`NotFlatError` for rows that do not fit, and :class:`OSError`.
    """
    from safetensors.numpy import save

    table = table_of(chunk.fitted, chunk.origins)
    arrays = {f"example/{name}": getattr(table, name) for name in EXAMPLE}
    rows = [row for one in chunk.fitted for row in one.rows]
    fields: dict[str, str] = {}
    for name, values in _columns(rows).items():
        if all(isinstance(value, Encoded) for value in values):
            fields[name] = "sequence"
            arrays |= {f"row/{name}/{key}": a for key, a in _sequences(values).items()}
        else:
            kinds = {type(value) for value in values}
            if len(kinds) > 1 or not kinds <= {bool, int, float}:
                raise NotFlatError
            fields[name] = kinds.pop().__name__
            arrays[f"row/{name}/value"] = np.array(values, np.float64)
    about = {
        "read": chunk.read,
        "bad": chunk.bad,
        "bad_reasons": chunk.bad_reasons,
        "reasons": table.reasons,
        "files": table.files,
        "fields": fields,
        "rows": len(rows),
    }
    draft = file.with_suffix(".partial")
    draft.write_bytes(save(arrays, {"chunk": json.dumps(about)}))
    draft.replace(file)


def _columns(rows: Sequence[Any]) -> Mapping[str, list[Any]]:
    """The values of rows under each name; raises where rows differ in their names."""
    if not rows:
        return {}
    if isinstance(rows[0], Encoded):
        return {PLAIN: list(rows)}
    if not all(isinstance(row, Mapping) and row.keys() == rows[0].keys() for row in rows):
        raise NotFlatError
    return {name: [row[name] for row in rows] for name in rows[0]}


def _sequences(rows: Sequence[Encoded]) -> dict[str, np.ndarray]:
    columns = sorted(rows[0].per_token)
    if any(row.media or sorted(row.per_token) != columns for row in rows):
        raise NotFlatError
    length = np.array([len(row) for row in rows], np.int32)
    stop = np.cumsum(length, dtype=np.int64)
    start = stop - length
    weights = _joined([row.weights for row in rows], np.float32)
    # a run ends where the weight changes, and at the end of each row
    is_end = np.append(weights[1:] != weights[:-1], True)
    is_end[stop[length > 0] - 1] = True
    ends = np.flatnonzero(is_end[: len(weights)]) + 1
    of_row = np.searchsorted(stop, ends)
    until = (ends - start[of_row]).astype(np.int32)
    arrays = {
        "start": start,
        "length": length,
        "ids": _joined([row.input_ids for row in rows], np.int32),
        "runs": np.searchsorted(of_row, np.arange(len(rows) + 1)).astype(np.int64),
        "until": until,
        "weight": weights[ends - 1],
    }
    for name in columns:
        column = [np.asarray(row.per_token[name], np.int32) for row in rows]
        arrays[f"column/{name}"] = np.concatenate(column)
    return arrays


def _joined(arrays: Sequence[Any], dtype: Any) -> np.ndarray:
    """Arrays of four-byte numbers in one, at the speed of copying."""
    return np.frombuffer(b"".join(arrays), dtype)


def is_whole(file: Path) -> bool:
    """Whether a chunk file is there with all of its bytes."""
    try:
        size = file.stat().st_size
        with file.open("rb") as handle:
            header = int.from_bytes(handle.read(8), "little")
            entries = json.loads(handle.read(header))
    except (OSError, ValueError):
        return False
    entries.pop("__metadata__", None)
    return size == 8 + header + max((e["data_offsets"][1] for e in entries.values()), default=0)


# -- reading -------------------------------------------------------------------------------


class Store(Sequence[Any]):
    """The rows of chunk files, read from disk when they are asked for."""

    def __init__(self, files: Sequence[Path]):
        self._chunks = [_Mapped(file) for file in files]
        counts = [chunk.about["rows"] for chunk in self._chunks]
        self._ends = np.cumsum(counts, dtype=np.int64).tolist()
        self.lengths = np.concatenate([c.lengths() for c in self._chunks] or [np.zeros(0, int)])
        self.read = sum(chunk.about["read"] for chunk in self._chunks)
        self.bad = sum(chunk.about["bad"] for chunk in self._chunks)
        reasons = [reason for chunk in self._chunks for reason in chunk.about["bad_reasons"]]
        self.bad_reasons = reasons[:REASONS]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: Any) -> Any:
        number = bisect_right(self._ends, index)
        return self._chunks[number][index - (self._ends[number - 1] if number else 0)]

    def table(self) -> Table:
        """What became of the examples."""
        return join([chunk.table() for chunk in self._chunks])


class Kept(Sequence[Any]):
    """Rows that flat arrays cannot hold, in memory; otherwise as :class:`Store`."""

    def __init__(self, chunks: Iterator[Chunk]):
        self._rows: list[Any] = []
        self.read = self.bad = 0
        self.bad_reasons: list[str] = []
        tables = []
        for chunk in chunks:
            self._rows += [row for one in chunk.fitted for row in one.rows]
            self.read += chunk.read
            self.bad += chunk.bad
            self.bad_reasons = (self.bad_reasons + chunk.bad_reasons)[:REASONS]
            tables.append(table_of(chunk.fitted, chunk.origins))
        self._table = join(tables)
        self.lengths = np.array([length_of(row) for row in self._rows], np.int32)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def table(self) -> Table:
        """What became of the examples."""
        return self._table


def length_of(row: Any) -> int:
    """The tokens of a row; of a mapping those of its longest sequence."""
    return max(map(len, sequences_of(row)), default=0)


def join(tables: Sequence[Table]) -> Table:
    """One table of several, one after another."""
    reasons = sorted({reason for table in tables for reason in table.reasons})
    files = sorted({file for table in tables for file in table.files})
    columns = {name: [getattr(t, name) for t in tables] for name in EXAMPLE}
    columns["dropped"] = [_renumbered(t.dropped, t.reasons, reasons) for t in tables]
    columns["file"] = [_renumbered(t.file, t.files, files) for t in tables]
    empty = [np.zeros(0, np.int64)]
    joined = {name: np.concatenate(column or empty) for name, column in columns.items()}
    return Table(**joined, reasons=reasons, files=files)


def _renumbered(numbers: np.ndarray, names: Sequence[str], among: Sequence[str]) -> np.ndarray:
    """Indices into ``names`` as indices into ``among``, in the same type."""
    place = {name: index for index, name in enumerate(among)}
    return np.array([place[name] for name in names] or [0], numbers.dtype)[numbers]


class _Mapped:
    """One chunk file, mapped."""

    def __init__(self, file: Path):
        with file.open("rb") as handle:
            size = int.from_bytes(handle.read(8), "little")
            header = json.loads(handle.read(size))
        self.about = json.loads(header.pop("__metadata__")["chunk"])
        data = np.memmap(file, np.uint8, "r", offset=8 + size) if header else np.zeros(0, np.uint8)
        self._arrays = {
            name: np.frombuffer(data[slice(*entry["data_offsets"])], _DTYPES[entry["dtype"]])
            for name, entry in header.items()
        }

    def lengths(self) -> np.ndarray:
        found = [
            self._arrays[f"row/{name}/length"]
            for name, kind in self.about["fields"].items()
            if kind == "sequence"
        ]
        return np.max(found, axis=0) if found else np.zeros(self.about["rows"], np.int32)

    def table(self) -> Table:
        arrays = {name: self._arrays[f"example/{name}"] for name in EXAMPLE}
        return Table(**arrays, reasons=self.about["reasons"], files=self.about["files"])

    def __getitem__(self, index: int) -> Any:
        row = {name: self._value(name, kind, index) for name, kind in self.about["fields"].items()}
        return row.get(PLAIN, row)

    def _value(self, name: str, kind: str, index: int) -> Any:
        if kind != "sequence":
            return _NUMBERS[kind](self._arrays[f"row/{name}/value"][index])
        arrays = {key: self._arrays[f"row/{name}/{key}"] for key in _KEYS}
        start, length = int(arrays["start"][index]), int(arrays["length"][index])
        place = slice(start, start + length)
        runs = slice(*arrays["runs"][index : index + 2].tolist())
        weights = np.repeat(
            arrays["weight"][runs], np.diff(arrays["until"][runs], prepend=np.int32(0))
        )
        head = f"row/{name}/column/"
        columns: dict[str, Sequence[int]] = {
            key.removeprefix(head): array("i", values[place].tobytes())
            for key, values in self._arrays.items()
            if key.startswith(head)
        }
        ids = array("i", arrays["ids"][place].tobytes())
        return Encoded(ids, array("f", weights.tobytes()), columns)


_KEYS = ("start", "length", "ids", "runs", "until", "weight")
_NUMBERS = {"bool": bool, "int": int, "float": float}
_DTYPES = {"U8": np.uint8, "I32": np.int32, "I64": np.int64, "F32": np.float32, "F64": np.float64}
