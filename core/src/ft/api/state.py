"""Where a process and its training stand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Process:
    """This process among those of the run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        return self.rank == 0


@dataclass(slots=True)
class State:
    """How far training is. A checkpoint stores it."""

    step: int = 0
    total_steps: int = 0
    epoch: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    position: dict[str, int] = field(default_factory=dict)
    """How far data that is streamed was read."""
    stop: bool = False
    """A plugin sets it to end training after the current step; the result is saved as ever."""
    adapted: dict[str, int] = field(default_factory=dict)
    """What a lack of memory changed, by name: ``micro_batch_size``, ``recomputed_layers``."""
    interrupted: bool = False
    """Ctrl-C sets it: a checkpoint is saved after the current step, and the run fails."""
