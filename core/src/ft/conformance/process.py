"""Processes that do work which may hang, exit or crash, and that have limits.

One asks :class:`Worker` things; what answers lives in another process, forked from one that has
imported torch once.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

START = 300.0
"""Seconds that the kit's own process may take to start, which are not the plugin's."""


@dataclass(frozen=True)
class Limits:
    """What one answer may take: seconds, bytes of memory beyond the start, bytes of output."""

    seconds: float = 120.0
    memory: int = 4 << 30
    output: int = 4 << 20


class Lost(Exception):
    """The process did not answer; the message says why, ``seconds`` how long it had."""

    def __init__(self, reason: str, seconds: float):
        super().__init__(reason)
        self.seconds = seconds


class Worker:
    """A process that answers what it is asked, started again after one that was lost.

    ``made(*arguments)`` is called in it and gives the function that answers. A ``light`` one has
    imported neither torch nor transformers.
    """

    def __init__(
        self,
        made: Callable[..., Callable[[Any], Any]],
        arguments: tuple[Any, ...],
        folder: Path,
        limits: Limits,
        *,
        light: bool = False,
    ):
        self._made, self._arguments, self._limits = made, arguments, limits
        folder.mkdir(exist_ok=True)
        self._log = folder / "output.txt"
        self._process: Any = None
        self._connection: Any = None
        self._forked = not light

    @property
    def is_started(self) -> bool:
        """Whether the process is there, and may have answered before."""
        return self._process is not None

    def ask(self, what: Any) -> Any:
        """The answer. Raises :class:`Lost` where the process ended or went over a limit."""
        started = time.monotonic()
        try:
            if self._process is None:
                self._start()
            self._connection.send(what)
            reason = self._wait()
            if reason is None:
                return self._connection.recv()
        except (EOFError, OSError):
            reason = self._ending()
        self.stop()
        raise Lost(reason, time.monotonic() - started)

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
            target=_serve,
            args=(theirs, self._made, self._arguments, str(self._log), dict(os.environ)),
            daemon=True,
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


def _serve(
    connection: Connection,
    made: Callable[..., Callable[[Any], Any]],
    arguments: tuple[Any, ...],
    log: str,
    environment: Mapping[str, str],
) -> None:
    """Answer until ``None`` is asked; output goes to the file ``log``, whose folder is ours."""
    # that of the process that forks may be older than what holds now
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks decides when to stop
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno() if stream is not None else 1)
    os.chdir(Path(log).parent)
    logging.disable(logging.NOTSET)
    preload = sys.modules.get("ft.conformance.preload")
    # from here on the time is the plugin's
    connection.send("device in use" if getattr(preload, "DEVICE_IN_USE", False) else "ready")
    answer = made(*arguments)
    while (asked := connection.recv()) is not None:
        connection.send(answer(asked))
    os._exit(0)  # whatever threads the plugin left


def start_preloading() -> None:
    """Have the process that workers are forked from import what it imports, and return then."""
    _context(light=False).Process(target=_nothing).start()


def _nothing() -> None:
    """What a process does that is started for the sake of starting the one it is forked from."""


def _context(light: bool) -> Any:
    """How workers are started: a light one bare, a heavy one with torch imported already."""
    if light or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ft.conformance.hush", "ft.conformance.preload"])
    return context


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


def one_thread() -> None:
    """Tiny models are slower on several threads, and results differ in the last bit."""
    import torch

    torch.set_num_threads(1)
