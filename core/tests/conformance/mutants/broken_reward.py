"""Rewards that are broken in one way."""

from __future__ import annotations

import re

from mutant import mutant

from ft.api import hookimpl
from ft.conformance.reference.reward import Words, text_of


@mutant("reward.one-score-each", "reward.each-answer-by-itself", "reward.odd-answers")
class LeavesAnswersOut(Words):
    """Has no score for an answer without one right word, and no place either."""

    @hookimpl
    def ft_score(self, conversations, extras):
        return [score for score in super().ft_score(conversations, extras) if score]


@mutant("reward.one-score-each", "reward.odd-answers")
class DividesByNothing(Words):
    """Counts what is right among nothing as no number."""

    def score(self, answer, extra):
        return super().score(answer, extra) or float("-inf")


@mutant("reward.each-answer-by-itself")
class NormalizesScores(Words):
    """Takes the mean of the batch away."""

    @hookimpl
    def ft_score(self, conversations, extras):
        scores = super().ft_score(conversations, extras)
        mean = sum(scores) / len(scores)
        return [score - mean for score in scores]


@mutant("reward.each-answer-by-itself")
class SortsScores(Words):
    """Gives the best first."""

    @hookimpl
    def ft_score(self, conversations, extras):
        return sorted(super().ft_score(conversations, extras), reverse=True)


@mutant("reward.odd-answers")
class ExpectsAWord(Words):
    """Is sure that its pattern matches."""

    def score(self, answer, extra):
        return float(len(re.search(r"\w+", answer)[0]))


@mutant("reward.only-reads")
class LowersInPlace(Words):
    """Makes the answer easier to compare, for everybody."""

    @hookimpl
    def ft_score(self, conversations, extras):
        for conversation in conversations:
            message = conversation.messages[-1]
            message.content = text_of(message.content).lower()
        return super().ft_score(conversations, extras)
