"""Rewards from rules that are written as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationInfo, field_validator, model_validator

from ft.api import Conversation, Field, Reward, RewardOptions, hookimpl, time_limit

SECONDS = 2.0
"""For the rules on one answer: a pattern can take forever on an unlucky text."""


class RulesOptions(RewardOptions):
    pattern: str | None = Field(
        None, description="regular expression that the answer matches somewhere; . matches newlines"
    )
    extract: str | None = Field(
        None,
        description="regular expression whose first group, at its last match, is what the rules "
        "below look at; an answer without a match breaks them all",
    )
    equals: str | None = Field(None, description="column whose text the answer is")
    contains: list[str] = Field([], description="texts that the answer contains")
    contains_column: str | None = Field(
        None, description="column with a text, or a list of them, that the answer contains"
    )
    excludes: list[str] = Field([], description="texts that the answer does not contain")
    json_keys: list[str] | None = Field(
        None, description="the answer is a JSON object with these keys; []: any valid JSON"
    )
    min_words: int | None = Field(None, gt=0, description="least number of words")
    max_words: int | None = Field(None, gt=0, description="greatest number of words")
    ignore_case: bool = Field(True, description="compare without regard to upper and lower case")

    @field_validator("pattern", "extract")
    @classmethod
    def _compiles(cls, value: str | None, info: ValidationInfo) -> str | None:
        try:
            groups = re.compile(value or "").groups
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if info.field_name == "extract" and value is not None and not groups:
            raise ValueError("needs a group, such as <answer>(.*?)</answer>")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> RulesOptions:
        given = self.model_dump(exclude={"weight", "extract", "ignore_case"}, exclude_defaults=True)
        if not given:
            raise ValueError("no rule is given: set pattern, equals, contains, json_keys, …")
        return self


class Rules(Reward):
    """The share of the rules that an answer keeps, between 0 and 1.

    For formats, exact answers, wanted and unwanted words, valid JSON and length. Rules that
    should weigh differently go into several rewards of this name, each with its ``weight``.
    A row without the column that a rule compares with is not scored.
    """

    Options = RulesOptions
    samples = (
        {"pattern": r"\w+\.$", "max_words": 12},
        {"equals": "answer", "json_keys": [], "excludes": ["?"]},
    )

    @hookimpl
    def ft_score(
        self, conversations: Sequence[Conversation], extras: Sequence[Mapping[str, Any]]
    ) -> list[float | None]:
        return [
            self._share(conversation.messages[-1].text, extra)
            for conversation, extra in zip(conversations, extras, strict=True)
        ]

    def _share(self, answer: str, row: Mapping[str, Any]) -> float | None:
        options = self.options
        columns = (options.equals, options.contains_column)
        if any(column is not None and row.get(column) is None for column in columns):
            return None
        try:
            with time_limit(SECONDS):
                kept = list(self._kept(answer, row))
        except TimeoutError:
            return None
        return sum(kept) / len(kept)

    def _kept(self, answer: str, row: Mapping[str, Any]) -> Iterator[bool]:
        """Whether each rule that is set is kept."""
        options = self.options
        flags = re.DOTALL | (re.IGNORECASE if options.ignore_case else 0)
        if options.pattern is not None:
            yield re.search(options.pattern, answer, flags) is not None
        found = True
        if options.extract is not None:
            matches = list(re.finditer(options.extract, answer, flags))
            found = bool(matches)
            answer = (matches[-1][1] or "") if matches else ""
        text = self._plain(answer)
        if options.equals is not None:
            yield found and text == self._plain(row[options.equals])
        wanted = list(options.contains)
        if options.contains_column is not None:
            value = row[options.contains_column]
            wanted += value if isinstance(value, list) else [value]
        for piece in wanted:
            yield found and self._plain(piece) in text
        for piece in options.excludes:
            yield found and self._plain(piece) not in text
        if options.json_keys is not None:
            yield found and _has_keys(answer, options.json_keys)
        words = len(text.split())
        if options.min_words is not None:
            yield found and words >= options.min_words
        if options.max_words is not None:
            yield found and words <= options.max_words

    def _plain(self, value: Any) -> str:
        """A text without the blanks around it, blanks inside as one."""
        text = " ".join(str(value).split())
        return text.casefold() if self.options.ignore_case else text


def _has_keys(text: str, keys: Sequence[str]) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return not keys or (isinstance(value, dict) and value.keys() >= set(keys))


reward = Rules()
