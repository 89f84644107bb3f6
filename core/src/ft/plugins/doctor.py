"""Trying plugins out, each in a process of its own that may hang, exit or crash."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ft.plugins import guard, health, safe
from ft.plugins.probe import COMMAND
from ft.plugins.record import Record

TRIED = ("ok", "conflict", "shadowed")
"""The states in which an import can succeed; a remembered failure is tried again too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one plugin: its record with the state that it turned out to have.

    ``milliseconds`` is the time of the import alone, ``None`` where none was tried or it did
    not end, and ``cpu_milliseconds`` what it computed in that time; ``heavy`` are the packages
    that the module imports and should not.
    """

    record: Record
    milliseconds: float | None = None
    heavy: tuple[str, ...] = ()
    cpu_milliseconds: float | None = None


def examine(
    records: Sequence[Record],
    timeout: float = 30.0,
    parallel: int = 2,
    first: Sequence[str] = (),
) -> Iterator[Finding]:
    """Import each plugin that its record allows, and remember the outcome for listings.

    Findings come as they are made, in no fixed order. ``timeout`` is in seconds, for each.
    The modules ``first`` are there before a plugin is imported, and do not count as its own.
    With ``FT_SAFE`` set none is imported, and findings are what metadata tells.
    """
    from ft.environment.locked import checked

    waiting = []
    for record in map(checked, records):
        if not safe.is_on() and (record.state in TRIED or record.remembered):
            waiting.append(record)
        else:
            yield Finding(record)
    running: list[_Child] = []
    outcomes: list[tuple[Record, str]] = []
    with tempfile.TemporaryDirectory(prefix="ft-doctor-") as folder:
        try:
            while waiting or running:
                while waiting and len(running) < parallel:
                    running.append(_Child(waiting.pop(0), Path(folder), timeout, first))
                for child in [c for c in running if c.ended()]:
                    running.remove(child)
                    reason, finding = child.finding()
                    outcomes.append((child.record, reason))
                    yield finding
                time.sleep(0.005)
        finally:
            for child in running:
                child.kill()
            health.learn(outcomes)


class _Child:
    """A process that imports one plugin."""

    def __init__(self, record: Record, folder: Path, timeout: float, first: Sequence[str]):
        self.record = record
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._expired = False
        # one distribution may hold several plugins, and two may hold the same
        stem = f"{record.kind}-{record.distribution}-{abs(hash(record)):x}"
        self._report = folder / f"{stem}.report"
        request = folder / f"{stem}.request"
        fields = {
            name: getattr(record, name)
            for name in ("kind", "name", "distribution", "version", "value", "location", "seal")
        }
        asked = {
            "path": sys.path,
            "record": fields,
            "first": list(first),
            "guard": guard.state(),
        }
        request.write_text(json.dumps(asked), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(request), str(self._report)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ended(self) -> bool:
        if self._process.poll() is not None:
            return True
        if time.monotonic() > self._deadline:
            self._expired = True
            self.kill()
        return self._expired

    def kill(self) -> None:
        """End the process and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()

    def finding(self) -> tuple[str, Finding]:
        """Why the import failed, or nothing; and the finding for the reader."""
        report: dict = {}
        if self._expired:
            reason = f"did not end its import within {self._timeout:g} s"
        elif not self._report.exists():
            code = self._process.returncode
            end = f"signal {-code}" if code < 0 else f"exit code {code}"
            reason = f"ended the process when it was imported ({end})"
        else:
            report = json.loads(self._report.read_text(encoding="utf-8"))
            reason = report["reason"]
        record = self.record
        if reason:
            record = replace(record, state="broken", reason=reason)
        elif record.remembered:
            record = replace(record, state="ok", reason="", remembered=False)
        return reason, Finding(
            record,
            report.get("milliseconds"),
            tuple(report.get("heavy", ())),
            report.get("cpu_milliseconds"),
        )
