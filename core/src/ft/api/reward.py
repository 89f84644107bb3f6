"""Kind ``reward``: a score for an answer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import Field

from ft.api.plugin import Plugin, PluginOptions


class RewardOptions(PluginOptions):
    """What every reward understands; the trainer adds scores up by weight."""

    weight: float = Field(1.0, description="factor of this reward among several")


class Reward(Plugin):
    """Scores answers for online trainers; implements :func:`ft_score`."""

    kind = "reward"
    Options: ClassVar[type[RewardOptions]] = RewardOptions
    provides = frozenset({"rewards"})


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise :class:`TimeoutError` inside after ``seconds``: for scoring one answer.

    It interrupts Python code, and C code that looks for signals, such as ``re``. Outside of the
    main thread, and where there are no such signals (Windows), nothing is interrupted.
    """
    possible = threading.current_thread() is threading.main_thread()
    if seconds is None or not possible or not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise TimeoutError(f"took more than {seconds:g} s")

    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
