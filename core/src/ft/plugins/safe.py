"""``FT_SAFE=1``: no plugin is loaded, so that a broken installation can be looked at."""

from __future__ import annotations

import os

from ft.errors import InputError
from ft.plugins.record import Record

VARIABLE = "FT_SAFE"


def is_on() -> bool:
    """Whether ``FT_SAFE`` is set to anything but 0."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def check(record: Record) -> None:
    """Raise :class:`ft.errors.InputError` where no plugin is to be loaded."""
    if is_on():
        raise InputError(
            f"{record.id} is not loaded, since {VARIABLE} is set",
            hint=f"unset {VARIABLE}; ft plugins list, doctor and remove and ft env work with it",
        )
