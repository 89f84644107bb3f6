"""Data formats: good rows become the right example, broken ones an error with a place."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ft.api import Example, RowError
from ft.conformance.check import NotRun, Skip, check
from ft.conformance.rows import (
    NUMBER,
    WORD,
    WRONG,
    Format,
    Row,
    broken_rows,
    misplaced,
    outcome,
    places,
    short,
    texts_of,
    unsound,
    value_at,
)
from ft.conformance.subject import Subject


@check("dataset", light=True)
def good_row(subject: Subject) -> None:
    """Its good row becomes the example that it says.

    Why: the two are what a reader of the documentation sees, and what the other checks start from.

    Passes: ``example`` and ``aligned`` are both given, and aligning the one gives the other,
    equal in every turn, role, tool and extra column. Under a sample of options that
    names other columns the row has those.

    Fails: a format without ``aligned``; an answer under the user's role; a turn of the wrong order.

    Example: ``the good row becomes Conversation(messages=[Message(role='user', …)]), and aligned
    is Conversation(messages=[Message(role='assistant', …)])``.
    """
    dataset: Any = subject.plugin
    assert dataset.example, "it has no example, a good row"
    assert isinstance(dataset.aligned, Example), "it has no aligned, what its example becomes"
    format = Format(subject)
    found = format.align(format.row)
    assert found == dataset.aligned, (
        f"the good row becomes {found!r}, and aligned is {dataset.aligned!r}"
    )


@check("dataset", light=True)
def produces(subject: Subject) -> None:
    """``produces`` names the types of the examples that it returns.

    Why: a recipe is refused before anything is loaded where a trainer does not take what a format
    produces. A type that is not named there reaches a trainer that cannot use it.

    Passes: ``produces`` has at least one example type, and the good row and every row made from it
    that is accepted become examples of a type in it.

    Fails: a base class's ``produces`` left as it is; a format that gives a ``Preference`` where
    there is a second answer, and names only ``Conversation``.

    Example: ``where the row is the good one it becomes a Conversation, and produces names
    Preference``.
    """
    named = subject.plugin.produces  # type: ignore[attr-defined]
    assert named, "produces is empty"
    for kind in named:
        sound = isinstance(kind, type) and issubclass(kind, Example)
        assert sound, f"produces names {kind!r}, which is no example type"
    format = Format(subject)
    for what, row in [("the row is the good one", format.row), *broken_rows(format.row)]:
        found = outcome(format, row)
        assert not isinstance(found, Example) or isinstance(found, named), (
            f"where {what} it becomes a {type(found).__name__}, and produces names "
            f"{', '.join(kind.__name__ for kind in named)}"
        )


@check("dataset", light=True)
def empty_row(subject: Subject) -> None:
    """A row in which there is nothing is refused.

    Why: a data file with other columns than the format reads would train on nothing at all,
    and a loss of zero on empty turns looks like success.

    Passes: a row without columns, one with only a column that the format does not know, and one in
    which every column is null raise ``ft.api.RowError``.

    Fails: ``row.get("answer", "")``, which makes an empty turn of a missing column.

    Example: ``a row without columns becomes Conversation(messages=[Message(role='user',
    content='', …``.
    """
    format = Format(subject)
    nothing: dict[str, Row] = {
        "without columns": {},
        "with a column of another format": {"other_column": "x"},
        "of nulls": dict.fromkeys([*format.row, *format.all_columns]),
    }
    for what, row in nothing.items():
        found = outcome(format, row)
        assert isinstance(found, RowError), f"a row {what} becomes {short(found)}"


@check("dataset", light=True)
def broken_row(subject: Subject) -> None:
    """A broken row is a sound example or an error that names the field.

    Why: the tenth row of a million has a null. A traceback tells its author nothing; an example
    with a list for a text fails an hour later, in a tokenizer.

    Passes: rows made from the good one, in which each value in turn is gone, null, of another
    type, empty or another value, and rows that hypothesis makes up of the columns that the
    options name, become an example whose parts have the types of the contract, or raise
    ``ft.api.RowError`` with a ``field`` that begins with a column of the row (or one that an option
    names) and counts no further than its lists go. Without hypothesis the check does not run.

    Fails: ``row["answer"]``, which raises ``KeyError``; ``None`` for a row that is to be
    dropped; a value that is put into a message as it comes; an error that names no field.

    Example: ``where answer is gone it raises KeyError: 'answer'``.
    """
    format = Format(subject)
    for what, row in broken_rows(format.row):
        _assert_sound(format, what, row)
    _try_any_row(format)


def _assert_sound(format: Format, what: str, row: Row) -> None:
    found = outcome(format, row)
    assert not isinstance(found, str), f"where {what} it raises {found}"
    if isinstance(found, RowError):
        problem = misplaced(found.field, row, format.all_columns)
        assert not problem, f"where {what} the error {found.message!r} {problem}"
    else:
        problem = unsound(found)
        assert not problem, f"where {what} it {problem}"


def _try_any_row(format: Format) -> None:
    """Rows of hypothesis: any JSON in any of the format's columns, and inside of its values."""
    try:
        import hypothesis
        from hypothesis import strategies as st
    except ImportError as error:
        raise NotRun(
            "hypothesis makes up rows: pip install ft-core[conformance] brings it"
        ) from error
    inside = [str(path[-1]) for path in places(format.row)]
    keys = [*inside, *format.all_columns, *("role", "content", "type", "text", "image", "name")]
    keys += ["tool_calls", "function", "arguments", "reasoning", "weight", "train", "id", "x"]
    words = [*(t for t in texts_of(format.row)), "user", "assistant", "<image>", '{"name": "f"}']
    words += ["[]", "true", "1", "tool_call", "image"]
    scalar = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    json = st.recursive(
        scalar | st.text(max_size=5) | st.sampled_from(words),
        lambda child: (
            st.lists(child, max_size=3) | st.dictionaries(st.sampled_from(keys), child, max_size=4)
        ),
        max_leaves=8,
    )
    columns = st.dictionaries(st.sampled_from([*format.row, *format.all_columns]), json)
    inner = st.dictionaries(st.sampled_from(list(places(format.row))), json, max_size=2)

    def attempt(kept: bool, more: dict[str, Any], changes: dict[Any, Any]) -> None:
        row = copy.deepcopy(format.row) if kept else {}
        for path, value in changes.items() if kept else ():
            # another change may have taken that place away
            with suppress(LookupError, TypeError):
                value_at(row, path[:-1])[path[-1]] = value
        row |= more
        _assert_sound(format, f"the row is {row!r}", row)

    hypothesis.settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(hypothesis.given(st.booleans(), columns, inner)(attempt))()


@check("dataset", light=True)
def loses_nothing(subject: Subject) -> None:
    """What an accepted row says, its example says, and nothing else.

    Why: a value that is dropped without a word is data that a user believes to train on; the
    word ``None`` in an answer, or a list in Python's notation, is text that nobody wrote.

    Passes: of each row that is made from the good one by changing or removing one value, and that
    is accepted, all texts that the good row's example shows and that are still in the row, and
    the text or number that was put in, stand somewhere in the example (a turn, a tool, an
    extra column); no list, object or null stands there as Python writes it.

    Fails: ``str(row["answer"])``; a wrong value that is caught and replaced by nothing.

    Example: ``where answer is 'ftword' it becomes Conversation(…), and 'ftword' is lost``.
    """
    format = Format(subject)
    shown = "\0".join(texts_of(outcome(format, format.row)))
    tracked = {text for text in _leaves(format.row) if text and text in shown}
    for what, row in broken_rows(format.row):
        found = outcome(format, row)
        if not isinstance(found, Example):
            continue
        texts = list(texts_of(found))
        everything = "\0".join(texts)
        for text in _leaves(row):
            if text in tracked or text in (WORD, str(NUMBER)):
                assert text in everything, (
                    f"where {what} it becomes {found!r}, and {text!r} is lost"
                )
        written = [
            str(value) for value in WRONG if value is None or isinstance(value, (list, dict))
        ]
        for text in written:
            typed = text in ("{}", "[]") or text in shown or text in _leaves(row)
            assert typed or not any(text == t or f"{text}\n" in t for t in texts), (
                f"where {what} it becomes {found!r}, in which {text!r} stands as text"
            )


def _leaves(row: Any) -> list[str]:
    """The texts and numbers of a row, without its keys."""
    values = [value_at(row, path) for path in places(row)]
    return [str(v) for v in values if isinstance(v, (str, int, float)) and not isinstance(v, bool)]


@check("dataset", light=True)
def leaves_rows_alone(subject: Subject) -> None:
    """The row is not changed.

    Why: core shows the row beside an error, and counts and mixes rows that it may give out twice. A
    format that pops a column breaks the second time.

    Passes: the good row, and every row made from it, is equal to a copy of before.

    Fails: ``row.pop("answer")``; a list of turns of the row to which a system turn is added.

    Example: ``where the row is the good one, aligning changes the row to {'question': 'What is one
    and two?'}``.
    """
    format = Format(subject)
    for what, row in [("the row is the good one", format.row), *broken_rows(format.row)]:
        before = copy.deepcopy(row)
        outcome(format, row)
        assert row == before, f"where {what}, aligning changes the row to {short(row)}"


@check("dataset", light=True)
def repeats(subject: Subject) -> None:
    """The same row gives the same example, whatever came before.

    Why: rows are read again for another epoch, in another order, and in several processes. What
    depends on the rows before makes a run that cannot be repeated.

    Passes: the good row gives an equal example at first, at once again, after all the rows
    that are made from it, and in a new object of the format.

    Fails: a format that drops duplicates; one that remembers the system text of the row before.

    Example: ``the second time the good row becomes RowError('is a duplicate'), and at first it was
    Conversation(…)``.
    """
    format = Format(subject)
    first = outcome(format, copy.deepcopy(format.row))

    def again(when: str, format: Format) -> None:
        found = outcome(format, copy.deepcopy(format.row))
        same = found == first or (isinstance(found, RowError) and str(found) == str(first))
        assert same, f"{when} the good row becomes {found!r}, and at first it was {first!r}"

    again("the second time", format)
    for what, row in broken_rows(format.row):
        outcome(format, row)
        again(f"after a row where {what}", format)
    again("in a new object", Format(subject))


@check("dataset", light=True)
def column_options(subject: Subject) -> None:
    """Every option that names a column renames it.

    Why: data comes with its own column names. An option that one code path does not look at
    reads another column, or none.

    Passes: for each option whose description speaks of a column, or whose default is a column of
    the good row: a row whose column has another name, which the option gives, becomes the
    same example as before, or the same error with the field renamed. That is tried on the
    good row and on rows that have random subsets of all these columns, with one option renamed
    and with all of them.

    Fails: ``row["answer"]`` where ``row[self.options.answer]`` is meant; an error that
    names the column by its default.

    Example: ``with answer: renamed_answer the row {'question': 'What is one and two?', …
    becomes an error at 'answer', and by its default names Conversation(…)``.
    """
    plain = Format(subject)
    if not plain.columns:
        raise Skip("no option names a column")
    rows = [plain.row, *_random_rows(plain, 40)]
    by_default = [outcome(plain, copy.deepcopy(row)) for row in rows]
    for options in [*([option] for option in plain.columns), list(plain.columns)]:
        names = {c: f"renamed_{c}" for option in options for c in plain.columns[option]}
        values = {option: _value(plain, option, names) for option in options}
        renamed = Format(subject, **values)
        for row, expected in zip(rows, by_default, strict=True):
            found = outcome(renamed, {names.get(k, k): v for k, v in copy.deepcopy(row).items()})
            assert _told(found) == _told(expected, names), (
                f"with {', '.join(f'{o}: {v}' for o, v in values.items())} the row {short(row)} "
                f"becomes {_said(found)}, and by its default names {_said(expected)}"
            )


def _value(format: Format, option: str, names: dict[str, str]) -> Any:
    """The value of an option that gives its columns other names, of the type of its value."""
    value = getattr(format.dataset.options, option)
    return names[value] if isinstance(value, str) else type(value)(names[v] for v in value)


def _random_rows(format: Format, count: int) -> Iterator[Row]:
    """Rows with some of the format's columns, which hold its own values, text or nonsense."""
    generator = random.Random(0)
    columns = sorted({*format.row, *format.all_columns})
    values = [*format.row.values(), "a text", "", "true", ["a", "b"], [["a", "b"]], 3, None]
    for _ in range(count):
        some = [column for column in columns if generator.random() < 0.5]
        yield {column: format.row.get(column, generator.choice(values)) for column in some}
        yield {column: generator.choice(values) for column in some}


def _told(found: Any, names: Mapping[str, str] | None = None) -> Any:
    """An outcome in a form that can be compared, with other names for its columns."""
    names = names or {}
    if isinstance(found, RowError):
        column = re.split(r"[.\[]", found.field or "", maxsplit=1)[0]
        return "RowError", names.get(column, column) + (found.field or "")[len(column) :]
    if isinstance(found, str):
        return found.partition(":")[0]
    if isinstance(found, Example):
        found = copy.copy(found)
        found.extra = {names.get(k, k): v for k, v in found.extra.items()}
    return found


def _said(found: Any) -> str:
    return f"an error at {found.field!r}" if isinstance(found, RowError) else repr(found)


@check("dataset", light=True)
def keeps_other_columns(subject: Subject) -> None:
    """Columns that the format does not use are kept in ``extra``.

    Why: a reward reads its reference answer there. Without them online training cannot score.

    Passes: the good row with one more column becomes the same example, with that column and its
    value in ``extra``.

    Fails: a format that fills no ``extra``; one that refuses columns that it does not know.

    Example: ``the column other_column is not in extra, which is {}``.
    """
    format = Format(subject)
    before = format.align(copy.deepcopy(format.row))
    value = {"a": [1, None, "b"]}
    found = outcome(format, {**copy.deepcopy(format.row), "other_column": value})
    assert isinstance(found, Example), f"with one more column the good row becomes {found!r}"
    assert found.extra.get("other_column") == value, (
        f"the column other_column is not in extra, which is {found.extra!r}"
    )
    without = {k: v for k, v in found.extra.items() if k != "other_column"}
    other = copy.copy(found)
    other.extra = without
    assert other == before, f"with one more column the good row becomes {found!r}, not {before!r}"
