"""Examples of every type, for the plugin under test to learn from or to render."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ft.api import (
    Conversation,
    Example,
    Feedback,
    Labelled,
    Message,
    Preference,
    Prompt,
    Similar,
    Stepwise,
    Text,
)

TURNS = (
    ("Who are you?", "A small model."),
    ("What is one and two?", "It is three."),
    ("What is the capital of France?", "Paris is the capital of France."),
    ("And that of Germany?", "Berlin."),
    ("Who jumps over the lazy dog?", "The quick brown fox."),
    ("Were you made for tests?", "I was made for tests."),
    ("Count to nine.", "0 1 2 3 4 5 6 7 8 9"),
    ("Say it in one word.", "Three."),
)
"""Questions and answers that differ in length and in all their answers."""
CLASSES = ("first", "second")
"""The classes of labelled texts, which a trainer's sample may have to name."""


def _user(text: str) -> list[Message]:
    return [Message("user", text)]


def _answer(text: str) -> list[Message]:
    return [Message("assistant", text)]


def examples_of(kind: type[Example], count: int = len(TURNS)) -> Sequence[Any]:
    """``count`` examples of a type, at most as many as there are :data:`TURNS`."""
    made: dict[type[Example], list[Any]] = {
        Conversation: [Conversation([*_user(q), *_answer(a)]) for q, a in TURNS],
        Preference: [
            # what is rejected is somebody else's answer
            Preference(_user(q), _answer(a), _answer(TURNS[n - 3][1]))
            for n, (q, a) in enumerate(TURNS)
        ],
        Feedback: [
            Feedback(_user(q), _answer(a if n % 2 else TURNS[n - 3][1]), good=bool(n % 2))
            for n, (q, a) in enumerate(TURNS)
        ],
        Prompt: [Prompt(_user(q), extra={"answer": a}) for q, a in TURNS],
        Text: [Text(f"{q} {a}") for q, a in TURNS],
        Labelled: [Labelled(q, CLASSES[n % 2]) for n, (q, _) in enumerate(TURNS)],
        Similar: [Similar(q, a, [TURNS[n - 3][1]]) for n, (q, a) in enumerate(TURNS)],
        Stepwise: [
            Stepwise(_user(q), [a, TURNS[n - 3][1]], [1.0, 0.0]) for n, (q, a) in enumerate(TURNS)
        ],
    }
    return made[kind][:count]
