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

    ``stream`` is called with each piece of text as soon as it is written. ``log_probs`` asks
    for :attr:`Answer.log_probs`.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stream: Callable[[str], None] | None = None
    log_probs: bool = False


@dataclass(slots=True)
class Answer:
    """One generated answer.

    ``token_ids`` are the generated ids, a terminator included; ``finished`` is false where
    ``max_new_tokens`` cut it off. ``message`` is ``text`` parsed by the template.

    ``log_probs`` has the log-probability of each of ``token_ids`` where the sampling asked for
    them and the engine can say: that of the model's logits divided by the temperature (of the
    logits as they are at a temperature of 0), before ``top_k``, ``top_p`` and the penalty.
    """

    text: str
    token_ids: Sequence[int]
    finished: bool
    message: Message
    log_probs: Sequence[float] | None = None


class Engine(Plugin):
    """Generates text; implements :func:`ft_generate`.

    One that holds weights of its own, in another process say, starts and copies them in
    :func:`ft_sync_weights`, and stops in :func:`ft_end_process`.
    """

    kind = "engine"
