"""Prompt rows: a question for the model to answer while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Dataset, Field, Message, Prompt, RowError, hookimpl
from ft.api.rows import MediaColumns, add_system, place_media, read_tools, read_turns


class Prompts(Dataset):
    """What the model is asked, for trainers that have it answer.

    The prompt is a text, or turns in the notation of OpenAI or of ShareGPT. All other columns
    reach the rewards. An answer at the end of the turns is taken off; rewards find its text in
    the column ``answer``, where the row has none of that name.
    """

    class Options(MediaColumns):
        prompt: tuple[str, ...] = Field(
            ("prompt", "question", "problem", "messages", "conversations"),
            description="columns that may hold the prompt; the first that a row has counts",
        )
        system: str = Field("system", description="column of the system prompt")
        tools: str = Field("tools", description="column of the tools: a list, or its JSON")

    produces = (Prompt,)
    example = {"question": "What is 6 times 7?", "answer": "42"}
    aligned = Prompt([Message("user", "What is 6 times 7?")], [], extra={"answer": "42"})

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Prompt:
        options = self.options
        column = next((c for c in options.prompt if row.get(c) is not None), None)
        if column is None:
            raise RowError(
                "is missing",
                field=options.prompt[0],
                hint=f"the row has the columns {', '.join(map(str, row))}; wanted is one of "
                f"{', '.join(options.prompt)}",
            )
        messages = read_turns(row[column], "user", column)
        used = {column, options.system, options.tools}
        used |= {options.images, options.videos, options.audios}
        extra = {name: value for name, value in row.items() if name not in used}
        if messages and messages[-1].role == "assistant":
            extra.setdefault("answer", messages.pop().text)
        if not messages:
            raise RowError("has no turn for the model to answer", field=column)
        add_system(messages, row.get(options.system), options.system)
        place_media(messages, row, options)
        return Prompt(messages, read_tools(row.get(options.tools), options.tools), extra=extra)


dataset = Prompts()
