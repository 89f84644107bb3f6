"""Rows to try a data format on, made from its good row, and the format called as core does."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, get_args

from ft.api import (
    Conversation,
    Dataset,
    Example,
    Feedback,
    Message,
    Part,
    Preference,
    Prompt,
    RowError,
    Run,
    Text,
    ToolCall,
)
from ft.api.examples import Role
from ft.conformance.check import Skip
from ft.conformance.subject import Subject
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection

Path = tuple[str | int, ...]
Row = dict[str, Any]


class Format:
    """A bound data format, and its good row under the options that it is bound with."""

    def __init__(self, subject: Subject, **options: Any):
        self.dataset: Dataset = subject.bind(**options)
        selection = Selection([self.dataset], DEFAULTS)
        self.run = Run(selection, folder=subject.folder)
        self._align = selection.caller(self.dataset, "ft_align_row")
        if not self.dataset.example:
            raise Skip("it has no example of a good row")
        self.columns = _columns(self.dataset, lambda name: getattr(self.dataset.options, name))
        self.defaults = _columns(
            self.dataset,
            lambda name: self.dataset.Options.model_fields[name].get_default(
                call_default_factory=True
            ),
        )
        self.row = self.named(self.dataset.example)

    def align(self, row: Mapping[str, Any]) -> Any:
        return self._align(run=self.run, row=row)

    def named(self, row: Mapping[str, Any]) -> Row:
        """A copy of a row whose columns have the names that the options give them."""
        names = {
            default: name
            for option, defaults in self.defaults.items()
            for default, name in zip(defaults, self.columns[option], strict=False)
        }
        return {names.get(k, k): copy.deepcopy(value) for k, value in row.items()}

    @property
    def all_columns(self) -> list[str]:
        return list(chain.from_iterable(self.columns.values()))


def _columns(dataset: Dataset, value_of: Callable[[str], Any]) -> dict[str, tuple[str, ...]]:
    """Option → the columns that it names.

    Such an option is a text, or texts, and its description speaks of a column. One whose default
    is a column of the example names one whatever it is described as.
    """
    found = {}
    for name, field in dataset.Options.model_fields.items():
        default = field.get_default(call_default_factory=True)
        texts = (default,) if isinstance(default, str) else default
        if not isinstance(texts, (tuple, list)) or not texts:
            continue
        if not all(isinstance(text, str) for text in texts):
            continue
        if re.search(r"\bcolumns?\b", field.description or "") or set(texts) & set(dataset.example):
            value = value_of(name)
            found[name] = (value,) if isinstance(value, str) else tuple(value)
    return found


# -- broken rows -------------------------------------------------------------------------------


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value inside of a row, of what holds it before what it holds."""
    children: Any = ()
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def value_at(row: Any, path: Path) -> Any:
    """What stands in one place of a row."""
    for key in path:
        row = row[key]
    return row


def without(row: Row, path: Path) -> Row:
    """A copy of a row that lacks one value."""
    changed = copy.deepcopy(row)
    del value_at(changed, path[:-1])[path[-1]]
    return changed


def replaced(row: Row, path: Path, value: Any) -> Row:
    """A copy of a row with another value in one place."""
    changed = copy.deepcopy(row)
    value_at(changed, path[:-1])[path[-1]] = copy.deepcopy(value)
    return changed


WORD, NUMBER = "ftword", 918273
"""What stands in the place of a value, to be found again."""
WRONG: Sequence[Any] = (
    *(None, True, False, 0, -1, 1.5, NUMBER, "", " ", WORD, "[", "{}", "null", "<image>"),
    *([], {}, [WORD], [NUMBER], [None], [[]], [{}], {"role": "user"}, {WORD: WORD}, [[WORD]]),
)
"""Values of every type, to stand in the place of another."""


def broken_rows(row: Row) -> Iterator[tuple[str, Row]]:
    """The good row with one value gone, of another type or another one; and what was done."""
    for path in places(row):
        place, value = shown(path), value_at(row, path)
        yield f"{place} is gone", without(row, path)
        others = [*WRONG, [value], {"value": value}, json.dumps(value), [value, value]]
        if isinstance(value, list):
            others += [value[:1], value[::-1], value + value, dict(enumerate(map(str, value)))]
        for other in others:
            yield f"{place} is {short(other)}", replaced(row, path, other)
    for other in WRONG:
        yield f"every column is {short(other)}", dict.fromkeys(row, other)
    yield "the row is empty", {}


def shown(path: Path) -> str:
    """A path as a ``RowError`` writes it: ``messages[2].role``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def short(value: Any) -> str:
    """A value as Python writes it, cut off for a message."""
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]} …"


def misplaced(field: str | None, row: Row, columns: Sequence[str]) -> str | None:
    """Why a field is no place in a row; ``None`` where it is one.

    A place may be a value that is missing, and may lie inside of a JSON string. It begins with a
    column of the row, or with one that an option names.
    """
    if not field:
        return "names no field"
    named = [
        c for c in {*map(str, row), *columns} if field == c or field.startswith((f"{c}.", f"{c}["))
    ]
    if not named:
        return f"names the field {field}, which is no column of the row"
    column = max(named, key=len)
    value = row.get(column)
    for index, key in re.findall(r"\[(\d+)\]|\.?([^.\[\]]+)", field[len(column) :]):
        value = _decoded(value)
        if index and isinstance(value, list) and int(index) >= len(value):
            return f"names the field {field}, where {column} has {len(value)} entries"
        try:
            value = value[int(index) if index else key]
        except (LookupError, TypeError):
            return None  # what is missing, or stands a level deeper than the notation says
    return None


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


# -- examples ----------------------------------------------------------------------------------


def texts_of(example: Any) -> Iterator[str]:
    """Every text in an example, keys of what it holds included; numbers as text."""
    if isinstance(example, str):
        yield example
    elif isinstance(example, Mapping):
        for key, value in example.items():
            yield str(key)
            yield from texts_of(value)
    elif isinstance(example, (list, tuple)):
        for value in example:
            yield from texts_of(value)
    elif isinstance(example, (int, float)):
        yield str(example)
    elif hasattr(type(example), "__dataclass_fields__"):
        for name in type(example).__dataclass_fields__:
            if name != "origin":
                yield from texts_of(getattr(example, name))


def unsound(example: Any) -> str | None:
    """What in an example is not of the type that the contract says; ``None`` where all is."""
    if not isinstance(example, Example):
        return f"gives {short(example)}, which is no example"
    if isinstance(example, Text):
        return None if isinstance(example.text, str) else f"has the text {short(example.text)}"
    tools = getattr(example, "tools", ())
    if not isinstance(tools, (list, tuple)) or not all(isinstance(t, Mapping) for t in tools):
        return f"has the tools {short(tools)}"
    for name in _TURNS.get(type(example), ()):
        turns = getattr(example, name)
        if not isinstance(turns, (list, tuple)):
            return f"has {short(turns)} as {name}"
        for turn in turns:
            problem = _unsound_turn(turn)
            if problem:
                return f"has a turn of {name} that {problem}"
    return None


_TURNS: dict[type, tuple[str, ...]] = {
    Conversation: ("messages",),
    Prompt: ("messages",),
    Preference: ("prompt", "chosen", "rejected"),
    Feedback: ("prompt", "answer"),
}


def _unsound_turn(turn: Any) -> str | None:
    if not isinstance(turn, Message):
        return f"is {short(turn)}"
    if turn.role not in get_args(Role):
        return f"has the role {turn.role!r}"
    parts = [Part("text", turn.content)] if isinstance(turn.content, str) else turn.content
    if not isinstance(parts, list) or not all(isinstance(p, Part) for p in parts):
        return f"has the content {short(turn.content)}"
    if not all(isinstance(p.text, str) for p in parts):
        return f"has the content {short(turn.content)}"
    for call in turn.tool_calls:
        sound = isinstance(call, ToolCall) and isinstance(call.name, str)
        if not sound or not isinstance(call.arguments, Mapping):
            return f"has the call {short(call)}"
    if not isinstance(turn.reasoning, str | None):
        return f"has the reasoning {short(turn.reasoning)}"
    if not isinstance(turn.train, bool | None):
        return f"has train: {short(turn.train)}"
    if isinstance(turn.weight, bool) or not isinstance(turn.weight, (int, float)):
        return f"has the weight {short(turn.weight)}"
    return None


def outcome(format: Format, row: Row) -> Any:
    """The example of a row, or its ``RowError``; of another exception its name and message."""
    try:
        return format.align(row)
    except RowError as error:
        return error
    except Exception as error:
        return f"{type(error).__name__}: {error}"
