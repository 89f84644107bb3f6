"""Running the checks of plugins in processes of their own, which have limits."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from ft.conformance.check import Check, checks_for
from ft.conformance.outcome import Outcome
from ft.conformance.proof import read_proof, with_proof
from ft.conformance.report import PluginReport
from ft.conformance.worker import serve
from ft.plugins.record import Record

LOST = 3
"""Processes that a plugin may end or have ended before no further check of it is tried."""
START = 300.0
"""Seconds that the kit's own process may take to start, which are not the plugin's."""


@dataclass(frozen=True)
class Limits:
    """What one check may take: seconds, bytes of memory beyond the start, bytes of output."""

    seconds: float = 120.0
    memory: int = 4 << 30
    output: int = 4 << 20


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
    if record.state != "ok" and not record.remembered:
        reason = f"it cannot be loaded: {record.state}: {record.reason}"
        found = [Outcome(check.id, "failed", reason) for check in checks_for(record.kind, level)]
        return PluginReport(record, found, level)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="ft-kit-", ignore_cleanup_errors=True) as folder:
        light, heavy = (
            Worker(record, Path(folder) / name, limits, light=name == "light")
            for name in ("light", "heavy")
        )
        if level > 1 and alone:
            preloading = Thread(target=_context(light=False).Process(target=_nothing).start)
            preloading.start()
        try:
            for check in checks_for(record.kind, level):
                heard(record, check)
                # until torch is imported in the one, the other need not wait
                worker = light if level < 2 or (alone and check.level < 2) else heavy
                outcomes.append(worker.run(check))
        finally:
            light.stop()
            heavy.stop()
    return PluginReport(record, outcomes, level)


class Worker:
    """A process that runs checks of one plugin, started again where the plugin ends it.

    A ``light`` one has imported neither torch nor transformers, and can run light checks alone.
    """

    def __init__(self, record: Record, folder: Path, limits: Limits, *, light: bool = False):
        self._record, self._limits = record, limits
        folder.mkdir(exist_ok=True)
        self._log = folder / "output.txt"
        self._process: Any = None
        self._connection: Any = None
        self._lost = 0
        self._forked = not light

    def run(self, check: Check) -> Outcome:
        """The outcome of one check, or why there is none."""
        if self._lost >= LOST:
            return Outcome(
                check.id, "failed", f"not tried: the plugin ended {LOST} processes before"
            )
        started = time.monotonic()
        try:
            if self._process is None:
                self._start()
            self._connection.send(check.id)
            reason = self._wait()
            if reason is None:
                return self._connection.recv()
        except (EOFError, OSError):
            reason = self._ending()
        self._lost += 1
        self.stop()
        return Outcome(check.id, "failed", reason, time.monotonic() - started)

    def _start(self) -> None:
        if self._begin() != "ready":  # what was forked cannot use the device
            self.stop()
            self._forked = False
            self._begin()

    def _begin(self) -> str:
        """Start the process; what it says of itself."""
        context = _context(light=not self._forked)
        self._connection, theirs = multiprocessing.Pipe()
        self._log.write_bytes(b"")
        self._process = context.Process(
            target=serve, args=(theirs, self._record, str(self._log), dict(os.environ)), daemon=True
        )
        with _without_main():
            self._process.start()
        theirs.close()
        if not self._connection.poll(START):
            raise OSError
        return self._connection.recv()

    def _wait(self) -> str | None:
        """Wait for the answer; why it will not come, where it will not."""
        import psutil

        limits = self._limits
        deadline = time.monotonic() + limits.seconds
        process = psutil.Process(self._process.pid)
        with suppress(psutil.Error):
            allowed = process.memory_info().rss + limits.memory
        while not self._connection.poll(0.05):
            if time.monotonic() > deadline:
                return f"it did not end within {limits.seconds:g} s"
            with suppress(psutil.Error):
                if process.memory_info().rss > allowed:
                    return f"it took more than {limits.memory / 2**30:g} GiB of memory"
            if self._log.stat().st_size > limits.output:
                return f"it wrote more than {limits.output / 2**20:g} MiB of output"
        return None

    def _ending(self) -> str:
        """How the process ended by itself."""
        if self._process is None:
            return "its process could not be started"
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            return f"its process did not start within {START:g} s"
        end = f"signal {-code}" if (code or 0) < 0 else f"exit code {code}"
        written = self._log.read_bytes()[-2000:].decode(errors="replace").strip().splitlines()
        last = f"; it wrote last: {written[-1][:200]}" if written else ""
        return f"the plugin ended its process ({end}){last}"

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is None:
            return
        import psutil

        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                child.kill()
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = self._connection = None


def _context(light: bool) -> Any:
    """How workers are started: a light one bare, a heavy one with torch imported already."""
    if light or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ft.conformance.hush", "ft.conformance.preload"])
    return context


def _nothing() -> None:
    """What a process does that is started for the sake of starting the one it is forked from."""


_starting = Lock()


@contextmanager
def _without_main() -> Iterator[None]:
    """Start processes that do not import the program which uses the kit once more."""
    with _starting:
        names = vars(sys.modules["__main__"])
        file = names.pop("__file__", None)
        try:
            yield
        finally:
            if file is not None:
                names["__file__"] = file


def prepare_environment() -> None:
    """What the processes inherit: one thread each, no model hub, quiet libraries."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
