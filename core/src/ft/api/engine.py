"""Kind ``engine``: how text is generated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ft.api.plugin import Plugin

if TYPE_CHECKING:
    from ft.api.examples import Message


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. A temperature of 0 takes the likeliest one.

    ``stream`` is called with each piece of text as soon as it is written.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stream: Callable[[str], None] | None = None


@dataclass(slots=True)
class Answer:
    """One generated answer.

    ``token_ids`` are the generated ids, a terminator included; ``finished`` is false where
    ``max_new_tokens`` cut it off. ``message`` is ``text`` parsed by the template.
    """

    text: str
    token_ids: Sequence[int]
    finished: bool
    message: Message


class Engine(Plugin):
    """Generates text; implements :func:`ft_generate`."""

    kind = "engine"
