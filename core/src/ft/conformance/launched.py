"""A program that trains under a backend, which may start it again as several processes.

``python -m ft.conformance.launched FOLDER DEPTH``. ``FOLDER/job.json`` says which plugin;
each process writes what it found to ``FOLDER/told-<process>.json``, the main one what was trained
to ``FOLDER/trained.safetensors``. ``DEPTH`` counts the launches that led to this process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Optimizer, Run, hookimpl
from ft.conformance.around import end
from ft.conformance.bench import random_rows, tiny_run, train
from ft.conformance.subject import Subject
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.load import import_plugin
from ft.plugins.record import Record
from ft.plugins.selection import Selection

if TYPE_CHECKING:
    from torch import Tensor

# 7 rows in batches of 4: of two processes one has nothing to do in the last piece of a step
OPTIONS = {"batch_size": 4, "micro_batch_size": 1, "steps": 4, "max_grad_norm": None}


class Descent(Optimizer):
    """Plain gradient descent, whose steps show by how much a gradient is off."""

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> Any:
        import torch

        return torch.optim.SGD(self.parameter_groups(run), lr=self.options.learning_rate)


def run_alike(subject: Subject, folder: str, device: str = "cpu", **parts: Any) -> Run:
    """The run that is trained with and without a backend."""
    parts["optimizer"] = Descent().bind("descent", {"learning_rate": 0.1})
    return tiny_run(
        subject, folder=folder, trainer=OPTIONS, rows=random_rows(7), device=device, **parts
    )


def trained(run: Run) -> dict[str, Tensor]:
    """What training made of a run, as a checkpoint holds it; every process asks for it."""
    tensors = run.hook.ft_checkpoint_state(run=run, model=run.model)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def main(folder: Path, depth: int) -> int:
    """Launch the program, or train where the backend leaves it in this process."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    sys.path[:] = job["path"]
    if depth > 1:
        (folder / "launched-again").touch()
        return 1
    record = Record(**job["record"])
    subject = Subject(import_plugin(record), record.name, folder, record, job["sample"])
    plugin = subject.bind()
    starting = Run(Selection([plugin], DEFAULTS), folder=folder)
    program = [sys.executable, "-m", "ft.conformance.launched", str(folder), str(depth + 1)]
    try:
        code = starting.hook.ft_launch(run=starting, command=program)
        if code is not None:
            return code
        return work(subject, plugin, job["device"])
    except InputError as error:
        (folder / "refused.txt").write_text(str(error), encoding="utf-8")
        return 2


def work(subject: Subject, plugin: Any, device: str) -> int:
    """Train in this process, one of those that were started."""
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    told: dict[str, Any] = {}
    run = None
    try:
        run = run_alike(subject, "run", device, backend=plugin)
        told = {"rank": run.process.rank, "world": run.process.world_size}
        told["sums"] = ["asked for a sum it fails"]
        told["sums"] = wrong_sums(run)
        train(run)
        tensors = trained(run)
        if run.process.is_main:
            save_file(tensors, subject.folder / "trained.safetensors")
    finally:
        if run is not None:
            end(run)
            distributed = torch.distributed
            told["group"] = distributed.is_available() and distributed.is_initialized()
            # by process and not by rank: two of the same rank are both heard
            name = f"told-{os.getpid()}.json"
            (subject.folder / name).write_text(json.dumps(told), encoding="utf-8")
    return 0


def wrong_sums(run: Run) -> list[str]:
    """What is wrong with sums over the processes, each of which gives the same values."""
    import torch

    world, wrong = run.process.world_size, []
    for number in (1.5, 3):
        total: Any = run.sum(number)
        if not isinstance(total, (int, float)):
            wrong.append(f"of the number {number} it gives a {type(total).__name__}")
        elif total != number * world:
            wrong.append(f"of {number} in each of {world} processes it gives {total}")
    for values in (
        torch.tensor(2.5, device=run.device),
        torch.arange(6, device=run.device).view(2, 3),
        torch.ones(2, 2, device=run.device, dtype=torch.float64).T[:1],
    ):
        kept = values.clone()
        total = run.sum(values)
        what = f"of a tensor of shape {tuple(kept.shape)}, {kept.dtype} on {kept.device}"
        if not isinstance(total, torch.Tensor):
            wrong.append(f"{what} it gives a {type(total).__name__}")
            continue
        found, expected = ((tuple(t.shape), t.dtype, t.device) for t in (total, kept))
        if found != expected:
            wrong.append(f"{what} it gives shape {found[0]}, {found[1]} on {found[2]}")
        elif not total.equal(kept * world):
            wrong.append(f"{what} it gives {total.tolist()} over {world} processes")
        elif world > 1 and not values.equal(kept):
            wrong.append(f"{what} it changes the tensor that it was given")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), int(sys.argv[2])))
