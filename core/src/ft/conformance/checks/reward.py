"""Rewards: a score for each answer, which depends on that answer alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from ft.api import Conversation, Message, Part, ToolCall
from ft.conformance.around import answered, run_of_reward, score
from ft.conformance.check import NotRun, check
from ft.conformance.subject import Subject


@check("reward")
def one_score_each(subject: Subject) -> None:
    """There is one finite number, or ``None``, for each answer.

    Why: a trainer compares the scores of answers to one prompt. One that is missing shifts
    all others, and a nan or an infinity makes the loss of the whole group one.

    Passes: for eight answers there are eight scores, each a finite number or ``None``. Where
    all are ``None``, because a judge cannot be reached, the check counts as not run.

    Fails: answers without a score that are left out; nan for a division by nothing.

    Example: ``there are 7 scores for 8 answers``.
    """
    conversations, extras = answered()
    scores = score(run_of_reward(subject), conversations, extras)
    assert_scores(scores, conversations)
    if all(value is None for value in scores):
        raise NotRun("none of eight answers could be scored here")


@check("reward")
def each_answer_by_itself(subject: Subject) -> None:
    """A score does not depend on what else is scored, nor on the order.

    Why: which answers come together is an accident of the batch and of the number of
    processes. Comparing answers of one group is the trainer's work.

    Passes: eight answers have the same scores together, one by one, and in another order.

    Fails: scores that are normalized over the batch; a list that is sorted; answers that are
    remembered in order to punish those that repeat them.

    Example: ``answer 3 is scored 0.5 among others and 1.0 alone``.
    """
    run = run_of_reward(subject)
    conversations, extras = answered()
    together = score(run, conversations, extras)
    alone = [
        score(run, [one], [extra])[0] for one, extra in zip(conversations, extras, strict=True)
    ]
    backwards = score(run, conversations[::-1], extras[::-1])[::-1]
    for how, others in (("alone", alone), ("in another order", backwards)):
        for number, (one, other) in enumerate(zip(together, others, strict=True), 1):
            assert _equal(one, other), (
                f"answer {number} is scored {one} among others and {other} {how}"
            )


@check("reward")
def odd_answers(subject: Subject) -> None:
    """A strange answer is scored, or not, and raises nothing.

    Why: a model that explores writes anything: nothing at all, half a formula, a call with
    arguments that no function has. One of these must not end a run of days.

    Passes: an empty answer, blanks, one of 10 000 words, control characters, unbalanced
    brackets, a list of parts, and a tool call without text each get a finite number or
    ``None``.

    Fails: a pattern that is expected to match; ``max()`` of no words; a division by the
    answer's length.

    Example: ``an empty answer: IndexError: list index out of range``.
    """
    run = run_of_reward(subject)
    conversations, extras = answered()
    for what, message in ODD.items():
        odd = Conversation([*conversations[0].messages[:-1], message])
        try:
            found = score(run, [odd], extras[:1])
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        assert_scores(found, [odd], f"{what}: ")


@check("reward")
def only_reads(subject: Subject) -> None:
    """What is scored stays as it is.

    Why: the same answers go to the next reward and then to the trainer.

    Passes: conversations and the columns of their rows equal copies made before scoring.

    Fails: an answer that is stripped or lowered in place; a column that is popped.

    Example: ``scoring changes conversation 1``.
    """
    conversations, extras = answered()
    before = copy.deepcopy((conversations, extras))
    score(run_of_reward(subject), conversations, extras)
    now: list[list[Any]] = [conversations, extras]
    then: list[list[Any]] = list(before)
    for what, these, those in zip(("conversation", "the columns of row"), now, then, strict=True):
        assert len(these) == len(those), f"scoring leaves {len(these)} of {len(those)}"
        for number, (one, kept) in enumerate(zip(these, those, strict=True), 1):
            assert one == kept, f"scoring changes {what} {number}"


ODD = {
    "an empty answer": Message("assistant", ""),
    "an answer of blanks": Message("assistant", " \n\t "),
    "an answer of 10000 words": Message("assistant", "three " * 10_000),
    "control characters": Message("assistant", "\x00\ufffd\u202e<|end|>"),
    "unbalanced brackets": Message("assistant", "\\boxed{{[(*+?"),
    "a list of parts": Message("assistant", [Part("text", "Three.")]),
    "a tool call without text": Message(
        "assistant", "", tool_calls=[ToolCall("count", {"to": None})]
    ),
}
"""Answers that a model gives now and then."""


def assert_scores(scores: Any, conversations: Sequence[Conversation], what: str = "") -> None:
    """There is a finite number or ``None`` for each conversation."""
    assert isinstance(scores, Sequence), f"{what}ft_score gives {type(scores).__name__}, no list"
    assert len(scores) == len(conversations), (
        f"{what}there are {len(scores)} scores for {len(conversations)} answers"
    )
    for number, value in enumerate(scores, 1):
        if value is None:
            continue
        try:
            number_like = float(value)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{what}score {number} is no number: {value!r}") from error
        assert math.isfinite(number_like), f"{what}score {number} is {number_like}"


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-7) or one != one
