"""The kit as a pytest test: one item for each check of each plugin of a distribution."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ft.conformance.check import checks_for
from ft.conformance.process import Limits, prepare_environment
from ft.conformance.proofs import is_recorded
from ft.conformance.session import Session
from ft.errors import InputError
from ft.plugins.policy import installed_index
from ft.plugins.record import Record, normalize


def conformance(distribution: str, *, level: int = 2) -> Callable[..., None]:
    """A test function over every check, up to ``level``, of the plugins of a distribution.

    In a plugin's repository::

        from ft.conformance import conformance

        test = conformance("ft-model-mynet")

    An expected failure (``known_failures``) is an xfail, and so is strict: the check has to
    fail. One that cannot be run here, for want of a device say, is skipped and says so. With
    ``FT_KIT=changed`` in the environment a distribution whose files are those that a registry
    has a proof of, by this kit and up to this level, is tried at level 1 alone. Raises
    :class:`ft.errors.InputError` where the distribution is not installed or has no plugin.
    """
    import pytest

    records = [r for r in installed_index().records if r.distribution == normalize(distribution)]
    if not records:
        raise InputError(
            f"no plugin of a distribution {distribution} is installed",
            hint="install it first, such as with: pip install -e .",
        )
    if os.environ.get("FT_KIT") == "changed" and is_recorded(records[0], level):
        level = min(level, 1)
    items = [
        pytest.param(record, check, id=f"{record.id}-{check.id}")
        for record in records
        for check in checks_for(record.kind, level)
    ]

    @pytest.mark.parametrize(("record", "check"), items)
    def test(record: Record, check: Any) -> None:
        outcome = _session(record, level < 2).run(check)
        if outcome.status == "known":
            pytest.xfail(outcome.message)
        if outcome.status in ("skipped", "not-run"):
            # one that is for a device which is not here; `ft plugins test` passes over it, too
            pytest.skip(f"{outcome.status}: {outcome.message}")
        if outcome.counts_against:
            pytest.fail(f"{record.id} fails {check.id}: {outcome.message}", pytrace=False)

    return test


def _session(record: Record, light: bool) -> Session:
    """One process for all checks of a plugin.

    It ends once checks of others have begun: a hundred plugins would fill the memory. Two are
    kept, because pytest-xdist may hand out the last checks of one after the first of the next.
    """
    if record not in _sessions:
        while len(_sessions) >= KEPT:
            _sessions.pop(next(iter(_sessions))).stop()
        prepare_environment()
        folder = Path(_folder().name) / f"{record.distribution}-{record.kind}-{record.name}"
        folder.mkdir(exist_ok=True)
        _sessions[record] = Session(record, folder, Limits(), light=light)
    return _sessions[record]


KEPT = 2
_sessions: dict[Record, Session] = {}


@cache
def _folder() -> Any:
    return tempfile.TemporaryDirectory(prefix="ft-kit-", ignore_cleanup_errors=True)
