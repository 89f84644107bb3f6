"""Where a run reports to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


class Progress:
    """Where a run reports to. This one is silent; the command line shows bars and lines."""

    def say(self, message: str) -> None:
        """Something the user should read, once."""

    def warn(self, message: str) -> None:
        """Something that may be wrong, with what to do about it."""

    def example(self, pieces: Sequence[tuple[str, bool]]) -> None:
        """One row as it is trained: its text in pieces, each with whether it is trained on."""

    def track(self, label: str, total: float | None, unit: str = "") -> Callable[[float], None]:
        """Begin a bar; the result is called with each amount done."""
        return lambda amount: None

    def step(self, metrics: Mapping[str, float], total_steps: int) -> None:
        """A training step ended; ``metrics`` as in :func:`ft_step_ended`."""

    def evaluated(self, metrics: Mapping[str, float]) -> None:
        """An evaluation ended; ``metrics`` as in :func:`ft_evaluated`."""
