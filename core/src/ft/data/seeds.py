"""Random numbers that belong to a piece of data, in whichever process it is made."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """The generators of Python and numpy begin as ``numbers`` say.

    Afterwards they are where they were: a run draws the same numbers whether its data was
    prepared before or not.
    """
    states = random.getstate(), np.random.get_state()
    random.seed("/".join(map(str, numbers)))
    np.random.seed([number % 2**32 for number in numbers])
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
