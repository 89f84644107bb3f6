"""Running checks on a subject, in this process."""

from __future__ import annotations

import gc
import tempfile
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ft.api import Plugin
from ft.conformance.check import Check, NotRun, Skip
from ft.conformance.outcome import Outcome, Status
from ft.conformance.subject import Subject, variants
from ft.plugins.record import Record

SEED = 1234


def examine(
    check: Check,
    plugin: Plugin,
    name: str,
    record: Record | None = None,
    companions: Mapping[str, Plugin] | None = None,
) -> Outcome:
    """Run one check on every variant of a plugin; the first that fails decides.

    A check of metadata runs once. Random generators are seeded before. Whatever the plugin
    raises, ``SystemExit`` included, makes the check fail.
    """
    started = time.perf_counter()
    measures: dict[str, float] = {}
    found: list[tuple[Status, str]] = []
    with tempfile.TemporaryDirectory(prefix="ft-check-", ignore_cleanup_errors=True) as scratch:
        places = (Path(scratch) / str(number) for number in range(1000))
        tried = variants(plugin, name, Path(scratch), record, companions)
        for label, subject in islice(tried, 1) if check.metadata else tried:
            subject = replace(subject, folder=next(places))
            subject.folder.mkdir()
            status, message = _one(check, subject)
            found.append((status, f"{label}: {message}" if label and message else message))
            measures |= {f"{label} {n}" if label else n: v for n, v in subject.measures.items()}
            if status in ("failed", "not-run"):
                break
    status, message = _together(found)
    known = next((k for k in plugin.known_failures if k.check == check.id), None)
    if known is not None and status == "failed":
        status, message = "known", f"{known.reason} ({known.issue})"
    elif known is not None and status != "not-run":
        status = "fixed"
        message = "it passes now: take it out of known_failures"
    return Outcome(check.id, status, message, time.perf_counter() - started, measures)


def _together(found: list[tuple[Status, str]]) -> tuple[Status, str]:
    """One outcome of several variants: the worst, and where all are skipped, that."""
    for status in ("failed", "not-run", "passed", "refused", "skipped"):
        for one, message in found:
            if one == status:
                return one, message
    return "skipped", "there is nothing to try it on"


def _one(check: Check, subject: Subject) -> tuple[Status, str]:
    _seed()
    run, good, note = check.run, "passed", ""
    try:
        if check.needs is not None:
            support = subject.support(check.needs)
            limit = subject.plugin.limits.get(check.needs)
            note = f"{support}: {limit.reason}" if limit is not None else ""
            if support in ("unsupported", "not-implemented"):
                if check.refuses is None:
                    return "skipped", note or f"it does not have {check.needs}"
                run, good = check.refuses, "refused"
            subject = subject.under_limit(check.needs)
        run(subject)
    except Skip as reason:
        return "skipped", str(reason)
    except NotRun as reason:
        return "not-run", str(reason)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return "failed", describe(error)
    finally:
        gc.collect()
    return good, note  # type: ignore[return-value]


def describe(error: BaseException) -> str:
    """An error in a line or two: its message, and where it comes from if that is not a check."""
    text = str(error).strip()
    if isinstance(error, AssertionError) and text:
        return text
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "/ft/conformance/" not in f.filename
    ]
    place = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SystemExit):
        return f"the plugin calls sys.exit({error.code!r}){place}"
    lines = text.splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".rstrip(": ") + place


def _seed() -> None:
    """Seed all generators that have been imported; a light check must not import torch."""
    import random
    import sys

    random.seed(SEED)
    with suppress(AttributeError):
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(SEED)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(SEED)
