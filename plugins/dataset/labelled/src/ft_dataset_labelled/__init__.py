"""Rows with a class: a text or a conversation, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Dataset, DatasetOptions, Field, Labelled, RowError, hookimpl
from ft.api.rows import as_text, read_turns


class LabelledRows(Dataset):
    """A text, or a conversation, in one column, and its class in another.

    A class is a name. Data sets that number their classes need `names`, in that order.
    """

    class Options(DatasetOptions):
        text: str = Field("text", description="column of a text")
        messages: str = Field(
            "messages", description="column of the turns of a conversation, where there is no text"
        )
        label: str = Field("label", description="column of the class: its name, or its number")
        names: tuple[str, ...] = Field(
            (), description="names of numbered classes, the one of number 0 first"
        )

    produces = (Labelled,)
    example = {"text": "The delivery came a week late.", "label": "complaint"}
    aligned = Labelled("The delivery came a week late.", "complaint")

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Labelled:
        options = self.options
        content: Any
        if row.get(options.text) is not None:
            content = as_text(row[options.text], options.text)
            if not content or content.isspace():
                raise RowError("is empty", field=options.text, hint="remove the row")
        elif row.get(options.messages) is not None:
            content = read_turns(row[options.messages], "user", options.messages)
        else:
            raise RowError("is missing", field=options.text)
        used = {options.text, options.messages, options.label}
        return Labelled(
            content, self._name(row), extra={k: v for k, v in row.items() if k not in used}
        )

    def _name(self, row: Mapping[str, Any]) -> str:
        """The name of a row's class."""
        column, names = self.options.label, self.options.names
        value = row.get(column)
        if isinstance(value, str) and value.strip():
            number = int(value) if value.strip().isdecimal() and names else None
            if number is None:
                return value
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            raise RowError(f"is {value!r}, and the name of a class is wanted", field=column)
        if not names:
            return str(number)
        if not 0 <= number < len(names):
            raise RowError(
                f"is {number}, and the names given are those of 0 to {len(names) - 1}", field=column
            )
        return names[number]


dataset = LabelledRows()
