"""Rows of answers in steps, with a verdict on each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Dataset, DatasetOptions, Field, Message, RowError, Stepwise, hookimpl
from ft.api.rows import add_system, as_list, as_number, as_text, read_turns


class StepwiseRows(Dataset):
    """A prompt, the steps of an answer, and for each of them whether it is right.

    The form in which PRM800K, Math-Shepherd and their like are published for training. A verdict
    is true or false, or a number from 0 to 1.
    """

    class Options(DatasetOptions):
        prompt: str = Field("prompt", description="column of the prompt: a text, or turns")
        steps: str = Field("completions", description="column of the steps: a list of texts")
        verdicts: str = Field("labels", description="column of their verdicts: a list as long")
        system: str = Field("system", description="column of the system prompt")

    produces = (Stepwise,)
    example = {
        "prompt": "What is 2 + 3 * 4?",
        "completions": ["3 * 4 is 12.", "2 + 12 is 15."],
        "labels": [True, False],
    }
    aligned = Stepwise(
        [Message("user", "What is 2 + 3 * 4?")], ["3 * 4 is 12.", "2 + 12 is 15."], [1.0, 0.0]
    )

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Stepwise:
        options = self.options
        prompt = read_turns(row.get(options.prompt), "user", options.prompt)
        add_system(prompt, row.get(options.system), options.system)
        steps = [
            _text(step, f"{options.steps}[{place}]")
            for place, step in enumerate(as_list(row.get(options.steps), options.steps))
        ]
        verdicts = [
            _verdict(verdict, f"{options.verdicts}[{place}]")
            for place, verdict in enumerate(as_list(row.get(options.verdicts), options.verdicts))
        ]
        if not steps:
            raise RowError("is empty", field=options.steps, hint="remove the row")
        if len(steps) != len(verdicts):
            raise RowError(
                f"has {len(verdicts)} entries, and there are {len(steps)} steps",
                field=options.verdicts,
            )
        used = {options.prompt, options.steps, options.verdicts, options.system}
        extra = {k: v for k, v in row.items() if k not in used}
        return Stepwise(prompt, steps, verdicts, extra=extra)


def _text(value: Any, field: str) -> str:
    text = as_text(value, field)
    if not text or text.isspace():
        raise RowError("is empty", field=field)
    return text


def _verdict(value: Any, field: str) -> float:
    if isinstance(value, bool):
        return float(value)
    number = as_number(value, field)
    if not 0 <= number <= 1:
        raise RowError(f"is {number:g}, and a verdict is 0 to 1", field=field)
    return number


dataset = StepwiseRows()
