"""Alpaca rows: an instruction, optionally an input to it, and the output to learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Conversation, Dataset, Field, Message, RowError, hookimpl
from ft.api.rows import MediaColumns, add_system, as_list, as_text, place_media


class Alpaca(Dataset):
    """One turn each, after Stanford Alpaca (2023); ``history`` puts earlier turns before it."""

    class Options(MediaColumns):
        prompt: str = Field("instruction", description="column of the instruction")
        query: str = Field("input", description="column of the input, put below the instruction")
        response: str = Field("output", description="column of the answer")
        system: str = Field("system", description="column of the system prompt")
        history: str = Field("history", description="column of earlier [user, assistant] pairs")

    produces = (Conversation,)
    example = {
        "instruction": "Translate into French.",
        "input": "Good morning",
        "output": "Bonjour",
    }
    aligned = Conversation(
        [
            Message("user", "Translate into French.\nGood morning"),
            Message("assistant", "Bonjour"),
        ]
    )

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Conversation:
        options = self.options
        prompt = row.get(options.prompt)
        query = row.get(options.query)
        # a row may have one of the two alone
        if prompt is None and query is None:
            raise RowError(
                "is missing",
                field=options.prompt,
                hint=f"the row has the columns {', '.join(map(str, row))}",
            )
        asked = [
            as_text(value, column)
            for value, column in ((prompt, options.prompt), (query, options.query))
            if value is not None and value != ""
        ]
        if not asked:
            raise RowError("is empty, so there is nothing to answer", field=options.prompt)
        messages: list[Message] = []
        history = row.get(options.history)
        if history:
            for index, pair in enumerate(as_list(history, options.history)):
                place = f"{options.history}[{index}]"
                turns = as_list(pair, place)
                if len(turns) != 2:
                    raise RowError("is no pair of a question and an answer", field=place)
                messages.append(Message("user", as_text(turns[0], f"{place}[0]")))
                messages.append(Message("assistant", as_text(turns[1], f"{place}[1]")))
        messages.append(Message("user", "\n".join(asked)))
        messages.append(Message("assistant", as_text(row.get(options.response), options.response)))
        add_system(messages, row.get(options.system), options.system)
        place_media(messages, row, options)
        used = {*vars(options).values()}
        return Conversation(
            messages=messages, extra={k: v for k, v in row.items() if k not in used}
        )


dataset = Alpaca()
