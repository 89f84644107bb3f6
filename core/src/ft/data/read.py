"""Reads the rows of data files, one at a time, each with the place where it stands.

A row is a dict. What cannot be read is an :class:`ft.errors.InputError` that names file and
row, and says what is wrong with it.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ft.api.examples import Origin
from ft.data.files import ZIPPED, data_files, suffix
from ft.data.json_values import JsonText, check_surrogates, list_values, values
from ft.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]

_LONGEST_FIELD = 2**31 - 1
_BATCH = 1024


def rows(
    path: Path, *, split: str | None = None, subset: str | None = None
) -> Iterator[tuple[Origin, Row]]:
    """The rows of a file, or of the files of a folder, with where each stands.

    ``split`` and ``subset`` choose among the files of a folder, as
    :func:`ft.data.files.data_files` explains. Rows are counted from 1 in each file: records
    of ``.csv``, ``.parquet``, ``.arrow`` and ``.json``, and lines of ``.jsonl`` and ``.txt``,
    where blank lines count and give no row. A line of ``.txt`` is ``{"text": line}``.
    """
    for file in data_files(path, split=split, subset=subset):
        read = _READERS[suffix(file) or ""]
        name = str(file)
        count = 0
        for number, row in read(file, split):
            count += 1
            if not isinstance(row, dict):
                raise InputError(
                    f"the row is {_kind(row)}, and a row is an object with named columns",
                    where=f"{name} row {number}",
                    hint='write each row as {"column": value, …}',
                )
            yield Origin(name, number), row
        if not count:
            raise InputError("the file has no row", where=name, hint="put data in it")


def first_row(path: Path, *, split: str | None = None, subset: str | None = None) -> Row:
    """The first row, from which a format is inferred."""
    return next(rows(path, split=split, subset=subset))[1]


# -- text formats --------------------------------------------------------------------------


def _open(file: Path) -> IO[bytes]:
    return gzip.open(file) if file.name.lower().endswith(ZIPPED) else file.open("rb")  # type: ignore[return-value]


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines with their line ends, decoded one by one so that an error has its place."""
    number = 0
    try:
        with _open(file) as stream:
            for number, line in enumerate(stream, 1):
                yield number, _decode(line, file, number)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"the file cannot be read after line {number}: {error}",
            where=str(file),
            hint="it is damaged, cut off or not readable for you",
        ) from error


def _decode(line: bytes, file: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8",
            where=f"{file} line {number}",
            hint="save the file as UTF-8",
        ) from error


def _jsonl(file: Path, split: str | None) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(file):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            cut = not line.endswith("\n")
            raise InputError(
                f"no valid JSON: {_json_problem(error)}",
                where=f"{file} row {number}",
                hint="the last line is cut off: fetch or write the file again"
                if cut
                else "each line is one JSON object",
            ) from error
        if "\\u" in line and ("\\ud" in line or "\\uD" in line):
            check_surrogates(row, file, number)
        yield number, row


def _json(file: Path, split: str | None) -> Iterator[tuple[int, Any]]:
    """A list of rows, an object that holds one such list, or JSON lines under a wrong name."""
    with _open(file) as stream:
        source = JsonText(stream, file)
        start = source.after_space(0)
        if source.text.startswith("[", start):
            yield from list_values(source, start + 1)
        elif source.text.startswith("{", start):
            yield from _objects(values(source, start), file, split)
        elif start < len(source.text):
            raise InputError(
                "the file is neither a list of rows nor an object that holds one",
                where=str(file),
                hint='write [{"column": value, …}, …]',
            )


def _objects(
    found: Iterator[tuple[int, Any]], file: Path, split: str | None
) -> Iterator[tuple[int, Any]]:
    _, first = next(found)
    second = next(found, None)
    if second is not None:
        yield 1, first
        yield second
        yield from found
        return
    lists = {k: v for k, v in first.items() if isinstance(v, list) and _all_objects(v)}
    if split:
        lists = {k: v for k, v in lists.items() if k == split}
    if len(lists) != 1:
        raise InputError(
            f"the file is one object with {len(lists)} lists of rows"
            + (f" named {split}" if split else ""),
            where=str(file),
            hint=f"its keys are {', '.join(map(str, first))}; "
            + ("say which list: split: <key>" if lists else "write a list of rows"),
        )
    yield from enumerate(next(iter(lists.values())), 1)


def _all_objects(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(v, dict) for v in values)


def _json_problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg if error.lineno > 1 else f"{error.msg} at column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _txt(file: Path, split: str | None) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(file):
        text = line.rstrip("\r\n")
        if text and not text.isspace():
            yield number, {"text": text}


def _csv(file: Path, split: str | None) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(_LONGEST_FIELD)
    tabs = suffix(file) == ".tsv"
    reader = csv.reader(
        (line for _, line in _lines(file)), delimiter="\t" if tabs else ",", strict=True
    )
    number = 0
    try:
        names = next(reader, [])
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"the header has the column {twice[0]!r} twice",
                where=f"{file} line 1",
                hint="rename one of them",
            )
        for values in reader:
            if not values:
                continue
            number += 1
            if len(values) != len(names):
                raise InputError(
                    f"{len(values)} values for {len(names)} columns (line {reader.line_num})",
                    where=f"{file} row {number}",
                    hint='put a value that holds a comma or a quote between "…"',
                )
            yield number, dict(zip(names, values, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{error} (line {reader.line_num})",
            where=f"{file} row {number + 1}",
            hint='a " inside a quoted value is written twice; a quoted value ends with "',
        ) from error


# -- column formats ------------------------------------------------------------------------


def _parquet(file: Path, split: str | None) -> Iterator[tuple[int, Any]]:
    import pyarrow.parquet as pq

    def batches() -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(file) as table:
            yield from table.iter_batches(batch_size=_BATCH)

    return _columns(file, batches)


def _arrow(file: Path, split: str | None) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(file)) as source:
            # a file has an index at its end, which a stream lacks
            if source.read(6) == b"ARROW1":
                table = pa.ipc.open_file(source)
                yield from (table.get_batch(i) for i in range(table.num_record_batches))
            else:
                source.seek(0)
                yield from pa.ipc.open_stream(source)

    return _columns(file, batches)


def _columns(
    file: Path, batches: Callable[[], Iterator[pa.RecordBatch]]
) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa

    number = 0
    try:
        for batch in batches():
            for start in range(0, len(batch), _BATCH):
                for row in batch.slice(start, _BATCH).to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the file cannot be read after row {number}: {str(error).splitlines()[0]}",
            where=str(file),
            hint="it is damaged, cut off or of another format: fetch it again",
        ) from error


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


_READERS: dict[str, Callable[[Path, str | None], Iterator[tuple[int, Any]]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".txt": _txt,
}
