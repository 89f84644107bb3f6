"""``python killed_program.py FOLDER PARTS [STEP]``: train; with a step, die right after it.

Goes on from the newest checkpoint where there is one. SIGKILL leaves no time to tidy up.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from harness import train
from safetensors.torch import save_file

from conftest import make_run
from ft.api import Tracker, hookimpl
from ft.training.checkpoint import checkpoints


class Killer(Tracker):
    @hookimpl
    def ft_step_ended(self, run, metrics):
        if metrics["step"] == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, parts: str, step: int) -> None:
    killer = Killer().bind("killer")
    killer.step = step
    run = make_run(folder, parts, killer, epochs=4, save_every=3)
    found = checkpoints(run.folder)
    train(run, found[-1] if found else None)
    trained = {name: p.detach().clone() for name, p in run.trainable()}
    save_file(trained, folder / "trained.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
