"""Checkpoints: what a killed run goes on from, written so that a kill never leaves half of one."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.errors import InputError, RunError

if TYPE_CHECKING:
    from ft.api import Run


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run folder, oldest first."""
    return sorted((folder / "checkpoints").glob("step-*[0-9]"))


def save_checkpoint(run: Run, keep: int) -> Path:
    """Write the state of training and drop all but the ``keep`` newest checkpoints.

    The folder appears under its name only when it is complete. Raises :class:`RunError` on a
    full disk; earlier checkpoints are untouched then.
    """
    import torch
    from safetensors.torch import save_file

    target = run.folder / "checkpoints" / f"step-{run.state.step:06d}"
    partial = target.with_name(f".{target.name}.partial")
    tensors = run.hook.ft_checkpoint_state(run=run, model=run.model)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial / "model.safetensors")
        torch.save(run.optimizer.state_dict(), partial / "optimizer.pt")
        torch.save(run.scheduler.state_dict(), partial / "scheduler.pt")
        torch.save(_random_state(), partial / "random.pt")
        (partial / "state.json").write_text(json.dumps(asdict(run.state)), encoding="utf-8")
        for file in partial.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        kept = checkpoints(run.folder)
        raise RunError(
            f"a checkpoint could not be written: {error.strerror or error}",
            where=str(target),
            hint=f"make room, then go on from {kept[-1].name} with: ft resume {run.folder}"
            if kept
            else "make room and start the run again; no checkpoint was complete yet",
        ) from error
    for old in checkpoints(run.folder)[:-keep]:
        shutil.rmtree(old)
    run.selection.notify("ft_checkpoint_saved", run=run, folder=target)
    return target


def load_checkpoint(run: Run, folder: Path) -> None:
    """Put model, optimizer, schedule, random generators and counters back."""
    import torch
    from safetensors.torch import load_file

    try:
        tensors = load_file(folder / "model.safetensors", device=str(run.device))
        optimizer = torch.load(folder / "optimizer.pt", map_location=run.device, weights_only=True)
        scheduler = torch.load(folder / "scheduler.pt", weights_only=True)
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        generators = torch.load(folder / "random.pt", weights_only=True)
    except Exception as error:
        raise InputError(
            f"this checkpoint cannot be read ({type(error).__name__}: {error})",
            where=str(folder),
            hint="remove the folder; the run then resumes from the one before",
        ) from error
    run.hook.ft_restore_state(run=run, model=run.model, tensors=tensors)
    run.optimizer.load_state_dict(optimizer)
    run.scheduler.load_state_dict(scheduler)
    for name, value in state.items():
        setattr(run.state, name, value)
    run.state.stop = False
    _set_random_state(generators)


def _random_state() -> dict[str, Any]:
    import numpy as np
    import torch

    version, internal, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(keys.copy()), *rest],  # type: ignore[union-attr]
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    import numpy as np
    import torch

    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy(), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
