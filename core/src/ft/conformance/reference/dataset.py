"""The reference data format: a question and an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Conversation, Dataset, DatasetOptions, Field, Message, hookimpl
from ft.api.rows import as_text


class QuestionAnswer(Dataset):
    """One turn: the columns of a question and of its answer."""

    class Options(DatasetOptions):
        question: str = Field("question", description="column of the question")
        answer: str = Field("answer", description="column of the answer")

    produces = (Conversation,)
    example = {"question": "What is one and two?", "answer": "Three.", "source": "book"}
    aligned = Conversation(
        [Message("user", "What is one and two?"), Message("assistant", "Three.")],
        extra={"source": "book"},
    )

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Conversation:
        options = self.options
        turns = [
            Message("user", as_text(row.get(options.question), options.question)),
            Message("assistant", as_text(row.get(options.answer), options.answer)),
        ]
        used = (options.question, options.answer)
        return Conversation(turns, extra={k: v for k, v in row.items() if k not in used})


dataset = QuestionAnswer()
