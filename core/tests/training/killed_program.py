"""``python killed_program.py FOLDER PARTS STEP [SECONDS]``: train, and die on the way.

That is right after a step, or some seconds after the start of training; 0 is never.

Goes on from the newest checkpoint where there is one. SIGKILL leaves no time to tidy up.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from harness import train
from safetensors.torch import save_file

from conftest import make_run
from ft.api import Tracker, hookimpl
from ft.training.checkpoint import checkpoints


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Killer(Tracker):
    @hookimpl
    def ft_run_started(self):
        if self.seconds:
            threading.Timer(self.seconds, die).start()

    @hookimpl
    def ft_step_ended(self, run, metrics):
        if metrics["step"] == self.step:
            die()


def main(folder: Path, parts: str, step: int, seconds: float | None = None) -> None:
    killer = Killer().bind("killer")
    killer.step, killer.seconds = step, seconds
    whole = {"epochs": 4, "save_every": 3} if seconds is None else {"epochs": 12, "save_every": 1}
    run = make_run(folder, parts, killer, **whole)
    found = checkpoints(run.folder)
    train(run, found[-1] if found else None)
    trained = {name: p.detach().clone() for name, p in run.trainable()}
    save_file(trained, folder / "trained.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:]))
