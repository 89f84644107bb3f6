"""Running the checks of plugins in processes of their own, which have limits."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

from ft.conformance.check import Check, checks_for
from ft.conformance.outcome import Outcome
from ft.conformance.process import Limits, Lost, Worker, prepare_environment, start_preloading
from ft.conformance.proof import read_proof, with_proof
from ft.conformance.report import PluginReport
from ft.conformance.worker import Examiner
from ft.environment.locked import checked
from ft.plugins.record import Record

LOST = 3
"""Processes that a plugin may end or have ended before no further check of it is tried."""


def prove(
    records: Sequence[Record],
    *,
    level: int = 2,
    limits: Limits | None = None,
    jobs: int | None = None,
    proof: Path | None = None,
    heard: Callable[[Record, Check], None] = lambda record, check: None,
) -> Iterator[PluginReport]:
    """Run the checks up to ``level`` on each plugin; reports come in the order of ``records``.

    ``jobs`` plugins are tried side by side. ``heard`` is told of each check as it begins.
    ``proof`` is a report of the same files from another machine: what could not be run here
    and passed there counts.
    """
    proved = read_proof(proof) if proof is not None else {}
    prepare_environment()
    with ThreadPoolExecutor(jobs or min(len(records), os.cpu_count() or 1, 4) or 1) as pool:
        waiting = [
            pool.submit(
                examine_plugin, record, level, limits or Limits(), heard, alone=len(records) == 1
            )
            for record in records
        ]
        try:
            for future in waiting:
                yield with_proof(future.result(), proved)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def examine_plugin(
    record: Record,
    level: int,
    limits: Limits,
    heard: Callable[[Record, Check], None] = lambda record, check: None,
    *,
    alone: bool = False,
) -> PluginReport:
    """Run the checks of one plugin, up to a level; ``alone`` where it is the only one."""
    record = checked(record)
    if record.state != "ok" and not record.remembered:
        reason = f"it cannot be loaded: {record.state}: {record.reason}"
        found = [Outcome(check.id, "failed", reason) for check in checks_for(record.kind, level)]
        return PluginReport(record, found, level)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="ft-kit-", ignore_cleanup_errors=True) as folder:
        light, heavy = (
            Session(record, Path(folder) / name, limits, light=name == "light")
            for name in ("light", "heavy")
        )
        if level > 1 and alone:
            Thread(target=start_preloading).start()
        try:
            for check in checks_for(record.kind, level):
                heard(record, check)
                # until torch is imported in the one, the other need not wait
                session = light if level < 2 or (alone and check.level < 2) else heavy
                outcomes.append(session.run(check))
        finally:
            light.stop()
            heavy.stop()
    return PluginReport(record, outcomes, level)


class Session:
    """A process for the checks of one plugin, which is given up where the plugin ends several.

    A ``light`` one has imported neither torch nor transformers, and can run light checks alone.
    """

    def __init__(self, record: Record, folder: Path, limits: Limits, *, light: bool = False):
        self._worker = Worker(Examiner, (record,), folder, limits, light=light)
        self._lost = 0

    def run(self, check: Check) -> Outcome:
        """The outcome of one check, or why there is none."""
        if self._lost >= LOST:
            return Outcome(
                check.id, "failed", f"not tried: the plugin ended {LOST} processes before"
            )
        try:
            return self._worker.ask(check.id)
        except Lost as lost:
            self._lost += 1
            return Outcome(check.id, "failed", str(lost), lost.seconds)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._worker.stop()
