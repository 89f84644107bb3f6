"""Rows of texts that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Dataset, DatasetOptions, Field, RowError, Similar, hookimpl
from ft.api.rows import as_list, as_text


class SimilarRows(Dataset):
    """Two texts that belong together, such as a question and a passage that answers it.

    A third column may hold a text that does not belong to the first, or a list of them.
    """

    class Options(DatasetOptions):
        anchor: str = Field("anchor", description="column of the first text")
        positive: str = Field("positive", description="column of the text that belongs to it")
        negative: str = Field("negative", description="column of what does not: a text or a list")

    produces = (Similar,)
    example = {
        "anchor": "What is the capital of France?",
        "positive": "Paris is the capital of France.",
        "negative": "Lyon lies on the Rhône.",
    }
    aligned = Similar(
        "What is the capital of France?",
        "Paris is the capital of France.",
        ["Lyon lies on the Rhône."],
    )

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Similar:
        options = self.options
        given = row.get(options.negative)
        if given is None:
            negatives = []
        elif isinstance(given, str) and not given.lstrip().startswith("["):
            negatives = [_text(given, options.negative)]
        else:
            listed = as_list(given, options.negative)
            negatives = [
                _text(text, f"{options.negative}[{place}]") for place, text in enumerate(listed)
            ]
        used = {options.anchor, options.positive, options.negative}
        return Similar(
            _text(row.get(options.anchor), options.anchor),
            _text(row.get(options.positive), options.positive),
            negatives,
            extra={k: v for k, v in row.items() if k not in used},
        )


def _text(value: Any, field: str) -> str:
    text = as_text(value, field)
    if not text or text.isspace():
        raise RowError("is empty", field=field, hint="remove the row")
    return text


dataset = SimilarRows()
