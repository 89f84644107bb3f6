"""The values of a JSON file, one at a time: few of them, and little of its text, are held."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from ft.errors import InputError

BLOCK = 1 << 20
"""Bytes that are read at once; characters behind the reader that are let go of together."""
_LONGEST_LITERAL = 16
"""Characters at the end of the text in which a number, a word or an escape may be cut off."""
_decode = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"\s*")


class JsonText:
    """The text of a file as far as it is needed: a window that moves on.

    ``text`` is the window. Positions in it hold until :meth:`let_go`.
    """

    def __init__(self, stream: IO[bytes], file: Path):
        self.text = ""
        self._stream = stream
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._ended = False
        # what stands before the window: lines, and characters of the line that it begins in
        self._lines = self._columns = 0
        # what was read: lines, and bytes of the last of them
        self._read_lines = self._read_bytes = 0

    def more(self) -> bool:
        """Read on, twice as far each time while nothing is let go of; false at the end."""
        if self._ended:
            return False
        try:
            block = self._stream.read(max(BLOCK, len(self.text)))
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(
                f"the file cannot be read after line {self._read_lines}: {error}",
                where=str(self._file),
                hint="it is damaged, cut off or not readable for you",
            ) from error
        self._ended = not block
        try:
            self.text += self._decode(block, final=self._ended)
        except UnicodeDecodeError as error:
            # what is decoded may begin with the bytes that the last block ended in
            kept = len(error.object) - len(block)
            before = error.object[: error.start]
            line = self._read_lines + before.count(b"\n") + 1
            column = error.start - before.rfind(b"\n")
            if b"\n" not in before:
                column += self._read_bytes - kept
            raise InputError(
                f"byte {column} of the line (0x{error.object[error.start]:02x}) is not UTF-8",
                where=f"{self._file} line {line}",
                hint="save the file as UTF-8",
            ) from error
        self._read_lines += block.count(b"\n")
        last = block.rfind(b"\n")
        self._read_bytes = len(block) - last - 1 + (self._read_bytes if last < 0 else 0)
        return True

    def let_go(self, position: int) -> int:
        """Forget what stands before ``position``, when it is much; returns where that is now."""
        if position < BLOCK:
            return position
        last = self.text.rfind("\n", 0, position)
        self._columns = position - last - 1 + (self._columns if last < 0 else 0)
        self._lines += self.text.count("\n", 0, position)
        self.text = self.text[position:]
        return 0

    def after_space(self, position: int) -> int:
        """The next position that holds no white space, or the end of the text."""
        while True:
            position = _SPACE.match(self.text, position).end()  # type: ignore[union-attr]
            if position < len(self.text) or not self.more():
                return position

    def value(self, start: int, number: int) -> tuple[Any, int]:
        """The value that begins at ``start``, of row ``number``, and where it ends."""
        while True:
            try:
                value, end = _decode(self.text, start)
            except json.JSONDecodeError as error:
                end = len(self.text)
                cut = error.pos >= end - _LONGEST_LITERAL or "Unterminated" in error.msg
                if not (cut and self.more()):
                    self.fail(error.pos, number, error.msg, error)
            except RecursionError as error:
                self.fail(start, number, "it is nested too deeply", error)
            else:
                # a number may go on
                if end < len(self.text) or not self.more():
                    self._check_surrogates(value, start, end, number)
                    return value, end

    def fail(self, at: int, number: int, problem: str, cause: Exception | None = None) -> NoReturn:
        """Raise :class:`ft.errors.InputError` with row, and with line and column of ``at``."""
        last = self.text.rfind("\n", 0, at)
        line = self._lines + self.text.count("\n", 0, at) + 1
        column = at - last + (self._columns if last < 0 else 0)
        cut = self.after_space(at) == len(self.text) or "Unterminated" in problem
        raise InputError(
            f"no valid JSON: {problem} (line {line}, column {column})",
            where=f"{self._file} row {number}",
            hint="the file is cut off: fetch or write it again"
            if cut
            else "mend that place; a JSON checker shows it",
        ) from cause

    def _check_surrogates(self, value: Any, start: int, end: int, number: int) -> None:
        if any(self.text.find(mark, start, end) >= 0 for mark in ("\\ud", "\\uD")):
            check_surrogates(value, self._file, number)


def check_surrogates(row: Any, file: Path, number: int) -> None:
    r"""Refuse half of a surrogate pair (``"\ud83d"``): JSON allows it, no tokenizer does."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the escape \\u{ord(error.object[error.start]):04x} is half of a character",
            where=f"{file} row {number}",
            hint="the text was cut inside an emoji or a rare character: remove the escape",
        ) from error


def list_values(source: JsonText, position: int) -> Iterator[tuple[int, Any]]:
    """The values of a list whose bracket stands before ``position``, numbered from 1."""
    number = 0
    position = source.after_space(position)
    if source.text.startswith("]", position):
        position += 1
    else:
        while True:
            number += 1
            if position == len(source.text):
                source.fail(position, number, "the list does not end")
            if number > 1 and source.text[position] == "]":
                source.fail(position, number, "a comma before the end of the list")
            value, position = source.value(position, number)
            yield number, value
            position = source.after_space(source.let_go(position))
            if position == len(source.text):
                source.fail(position, number, "the list does not end")
            position += 1
            if source.text[position - 1] == "]":
                break
            if source.text[position - 1] != ",":
                source.fail(position - 1, number, "no comma and no ] after the row")
            position = source.after_space(position)
    position = source.after_space(position)
    if position < len(source.text):
        source.fail(position, number, "more text after the end of the list")


def values(source: JsonText, position: int) -> Iterator[tuple[int, Any]]:
    """Values one after another, as in JSON lines, numbered from 1."""
    number = 0
    while (position := source.after_space(position)) < len(source.text):
        number += 1
        value, position = source.value(position, number)
        yield number, value
        position = source.let_go(position)
