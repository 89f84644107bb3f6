"""Garbage collection at the start of a run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def objects_kept() -> Iterator[None]:
    """Pause garbage collection, and leave out of it what is there at the end.

    For imports: the libraries make a million objects, and none of them ever goes. To look at
    them time and again takes a tenth of the time to the first step, and some of each full
    collection later. ``gc.unfreeze()`` ends that.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
