"""Ctrl-C while training: finish the step, save, stop. Twice: stop at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ft.api import Run


@contextmanager
def stop_on_interrupt(run: Run) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into ``run.state.interrupted``.

    One that the process was started to ignore, in the background of a shell, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: object) -> None:
        if run.state.interrupted:
            raise KeyboardInterrupt
        run.state.interrupted = True
        run.progress.warn("stopping after this step; once more to stop at once")

    former = {
        number: signal.signal(number, on_signal)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
