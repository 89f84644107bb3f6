"""Rewards for mathematics: whether the answer equals the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ft.api import Conversation, Field, Reward, RewardOptions, hookimpl, time_limit


class Maths(Reward):
    """1 for an answer that is mathematically the same as the row's reference, 0 for another.

    ``1/2``, ``0.5`` and ``\\frac{1}{2}`` are the same; so are sets and intervals that are written
    in another way. Read and compared by `math-verify
    <https://github.com/huggingface/Math-Verify>`_: what is in ``\\boxed{…}`` counts before what
    else looks like a result. A row without a reference that can be read is not scored, and
    neither is an answer that takes too long to compare.
    """

    class Options(RewardOptions):
        column: str = Field("answer", description="column of the reference")
        marker: str = Field(
            "####",
            description="what stands before the result in a reference that has the way there too",
        )
        timeout: float = Field(5.0, gt=0, description="seconds for one answer")

    @hookimpl
    def ft_score(
        self, conversations: Sequence[Conversation], extras: Sequence[Mapping[str, Any]]
    ) -> list[float | None]:
        return [
            self._one(conversation.messages[-1].text, extra.get(self.options.column))
            for conversation, extra in zip(conversations, extras, strict=True)
        ]

    def _one(self, answer: str, reference: Any) -> float | None:
        from math_verify import parse, verify

        if reference is None:
            return None
        result = str(reference).rpartition(self.options.marker)[2].strip()
        # the library's own limits are signals too: one is enough
        alone = {"parsing_timeout": None}
        try:
            with time_limit(self.options.timeout):
                wanted = parse(f"\\boxed{{{result}}}", **alone)
                if not wanted:
                    return None
                return float(verify(wanted, parse(answer, **alone), timeout_seconds=None))
        except Exception:  # whatever a model writes is read by a large grammar
            return None


reward = Maths()
