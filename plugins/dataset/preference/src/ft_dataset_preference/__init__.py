"""Preference rows: a better and a worse answer, or one answer with a verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ft.api import Dataset, Example, Feedback, Field, Message, Preference, RowError, hookimpl
from ft.api.rows import (
    MediaColumns,
    add_system,
    as_number,
    as_text,
    place_media,
    read_tools,
    read_turns,
    require_answer,
)


class PreferenceRows(Dataset):
    """Pairs and verdicts in the shapes in which they are published.

    The prompt is a column of turns, a text, or an instruction with an input. Where
    ``chosen`` and ``rejected`` are whole conversations, it is what they have in common. Turns
    have the keys of OpenAI or of ShareGPT; a text is one turn. A row without a pair has a
    verdict: ``prompt`` and ``completion``, or ``messages`` whose last turn is judged.
    """

    class Options(MediaColumns):
        chosen: str = Field("chosen", description="column of the better answer")
        rejected: str = Field("rejected", description="column of the worse answer")
        margin: str = Field("margin", description="column that says by how much")
        label: str = Field("label", description="column of the verdict on a single answer")
        completion: str = Field("completion", description="column of that answer")
        prompt: tuple[str, ...] = Field(
            ("prompt", "conversations", "messages"),
            description="columns that may hold the prompt; the first that a row has counts",
        )
        instruction: str = Field("instruction", description="column of an instruction")
        input: str = Field("input", description="column put below the instruction")
        system: str = Field("system", description="column of the system prompt")
        tools: str = Field("tools", description="column of the tools: a list, or its JSON")

    produces = (Preference, Feedback)
    example = {
        "prompt": "Name a prime number.",
        "chosen": "7 is a prime number.",
        "rejected": "8 is a prime number.",
    }
    aligned = Preference(
        prompt=[Message("user", "Name a prime number.")],
        chosen=[Message("assistant", "7 is a prime number.")],
        rejected=[Message("assistant", "8 is a prime number.")],
        tools=[],
    )

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Example:
        options = self.options
        prompt, prompt_columns = self._prompt(row)
        if options.chosen in row or options.rejected in row:
            return self._pair(row, prompt, prompt_columns)
        if options.label in row:
            return self._verdict(row, prompt, prompt_columns)
        raise RowError(
            "is missing",
            field=options.chosen,
            hint=f"the row has the columns {', '.join(map(str, row))}; wanted are "
            f"{options.chosen} and {options.rejected}, or {options.label}",
        )

    def _prompt(self, row: Mapping[str, Any]) -> tuple[list[Message], tuple[str, ...]]:
        """The prompt as it stands in columns of its own, and those columns."""
        options = self.options
        for column in options.prompt:
            if row.get(column) is not None:
                return read_turns(row[column], "user", column), (column,)
        columns = (options.instruction, options.input)
        texts = [as_text(row[c], c) for c in columns if row.get(c) not in (None, "")]
        return [Message("user", "\n".join(texts))] if texts else [], columns

    def _pair(
        self, row: Mapping[str, Any], prompt: list[Message], prompt_columns: tuple[str, ...]
    ) -> Preference:
        options = self.options
        chosen, rejected = (
            _continuation(row.get(column), column) for column in (options.chosen, options.rejected)
        )
        # answers that begin with another's turn are whole conversations, prompt included
        if chosen[0].role != "assistant" and rejected[0].role != "assistant":
            prompt, chosen, rejected = _split(chosen, rejected)
        if not prompt:
            raise RowError(
                "is missing, and chosen and rejected do not begin with the same turns",
                field=options.prompt[0],
            )
        for turns, column in ((chosen, options.chosen), (rejected, options.rejected)):
            if not turns or turns[0].role != "assistant":
                raise RowError("does not go on with an assistant turn", field=column)
        if chosen == rejected:
            raise RowError("is the same as the chosen answer", field=options.rejected)
        margin = row.get(options.margin)
        return Preference(
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            margin=None if margin is None else as_number(margin, options.margin),
            **self._rest(
                row, prompt, {*prompt_columns, options.chosen, options.rejected, options.margin}
            ),
        )

    def _verdict(
        self, row: Mapping[str, Any], prompt: list[Message], prompt_columns: tuple[str, ...]
    ) -> Feedback:
        options = self.options
        if row.get(options.completion) is not None:
            answer = read_turns(row[options.completion], "assistant", options.completion)
            require_answer(answer, options.completion)
        else:
            answer, prompt = prompt[-1:], prompt[:-1]
            if not answer or answer[0].role != "assistant":
                raise RowError(
                    "does not end with an assistant turn to judge", field=prompt_columns[0]
                )
        if not prompt:
            raise RowError("has no turn before the answer", field=prompt_columns[0])
        label = row[options.label]
        key = str(label).strip().lower()
        good = True if key in ("true", "1") else False if key in ("false", "0") else None
        if good is None:
            raise RowError(f"is {label!r}, and true or false is wanted", field=options.label)
        return Feedback(
            prompt=prompt,
            answer=answer,
            good=good,
            **self._rest(row, prompt, {*prompt_columns, options.completion, options.label}),
        )

    def _rest(
        self, row: Mapping[str, Any], prompt: list[Message], used: set[str]
    ) -> dict[str, Any]:
        """What both kinds of example hold beside turns; media and system go into the prompt."""
        options = self.options
        add_system(prompt, row.get(options.system), options.system)
        place_media(prompt, row, options)
        used |= {options.system, options.tools, options.images, options.videos, options.audios}
        return {
            "tools": read_tools(row.get(options.tools), options.tools),
            "extra": {k: v for k, v in row.items() if k not in used},
        }


_SPEAKER = re.compile(r"\n\n(Human|Assistant):")


def _continuation(value: Any, column: str) -> list[Message]:
    """The turns of one side; a text may be a whole dialogue, as in Anthropic's HH-RLHF."""
    if not isinstance(value, str) or not value.startswith("\n\nHuman:"):
        return read_turns(value, "assistant", column)
    _, *pieces = _SPEAKER.split(value)
    return [
        Message("user" if speaker == "Human" else "assistant", text.strip())
        for speaker, text in zip(pieces[::2], pieces[1::2], strict=True)
    ]


def _split(
    chosen: list[Message], rejected: list[Message]
) -> tuple[list[Message], list[Message], list[Message]]:
    """The prompt that two conversations share, and how each goes on with an assistant turn."""
    common = 0
    for ours, theirs in zip(chosen, rejected, strict=False):
        if ours != theirs:
            break
        common += 1
    # where one is the beginning of the other, something is left of both all the same
    common = min(common, len(chosen) - 1, len(rejected) - 1)
    while common and chosen[common].role != "assistant":
        common -= 1
    return chosen[:common], chosen[common:], rejected[common:]


dataset = PreferenceRows()
