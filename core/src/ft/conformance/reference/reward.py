"""The reference reward: words of the answer that a reference answer has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ft.api import Conversation, Field, Part, Reward, RewardOptions, hookimpl


class Words(Reward):
    """The share of the reference's words; ``None`` where the row has no reference."""

    class Options(RewardOptions):
        column: str = Field("answer", description="column of the reference answer")

    @hookimpl
    def ft_score(
        self, conversations: Sequence[Conversation], extras: Sequence[Mapping[str, Any]]
    ) -> list[float | None]:
        return [
            self.score(text_of(conversation.messages[-1].content), extra)
            for conversation, extra in zip(conversations, extras, strict=True)
        ]

    def score(self, answer: str, extra: Mapping[str, Any]) -> float | None:
        """The score of one answer."""
        wanted = set(str(extra.get(self.options.column) or "").lower().split())
        if not wanted:
            return None
        return len(wanted & set(answer.lower().split())) / len(wanted)


def text_of(content: str | list[Part]) -> str:
    """The text of a message, of which pictures have none."""
    return content if isinstance(content, str) else " ".join(part.text for part in content)


reward = Words()
