"""Plain text rows, for training on everything that they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Dataset, DatasetOptions, Field, RowError, Text, hookimpl
from ft.api.rows import as_text


class PlainText(Dataset):
    """One text in each row: continued pre-training, as C4 and Wikipedia are published."""

    class Options(DatasetOptions):
        text: str = Field("text", description="column of the text")

    produces = (Text,)
    example = {"text": "The quick brown fox jumps over the lazy dog."}
    aligned = Text("The quick brown fox jumps over the lazy dog.")

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Text:
        column = self.options.text
        text = as_text(row.get(column), column)
        if not text or text.isspace():
            raise RowError("is empty", field=column, hint="remove the row")
        return Text(text=text, extra={k: v for k, v in row.items() if k != column})


dataset = PlainText()
