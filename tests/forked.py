"""``ft`` in a process that a server forks: as a user's own, without the seconds of imports."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def ft(arguments: Sequence[str], folder: str, out: Path, err: Path, largest: int | None) -> None:
    """Run ``ft`` in ``folder``, its output in files; leaves with its exit code.

    With ``largest`` no file may become larger, in bytes, as on a disk that is full.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server may ignore it
    os.chdir(folder)
    for file, stream in ((out, sys.stdout), (err, sys.stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    from ft.cli import main

    sys.exit(main(arguments))
