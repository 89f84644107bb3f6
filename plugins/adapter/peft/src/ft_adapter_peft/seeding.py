"""Random numbers that are the same whenever a model is adapted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ft.api import Run


@contextmanager
def seeded(run: Run) -> Iterator[None]:
    """Draw from the run's seed, and leave the generators as they were.

    What an adapter draws and does not train has to come out the same when it is made again.
    """
    import torch

    with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
        torch.manual_seed(run.seed)
        yield
