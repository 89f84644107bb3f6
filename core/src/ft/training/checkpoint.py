"""Checkpoints: what a killed run goes on from, written so that a kill never leaves half of one."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.errors import InputError, RunError
from ft.training.disk import write_failure

if TYPE_CHECKING:
    from ft.api import Run


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run folder, oldest first."""
    return sorted((folder / "checkpoints").glob("step-*[0-9]"), key=step_of)


def step_of(folder: Path) -> int:
    """The step after which a checkpoint was saved."""
    return int(folder.name.removeprefix("step-"))


def save_checkpoint(run: Run, keep: int, spared: Collection[int | None] = ()) -> Path:
    """Write the state of training and drop all but the ``keep`` newest checkpoints.

    Those of the steps in ``spared`` stay as well. The folder appears under its name only when
    it is complete. Every process takes part: the main one writes what all share, each one its
    own random generators and plugin state. Raises :class:`RunError` in all of them where one
    cannot write, on a full disk say; earlier checkpoints are untouched then.
    """
    import torch
    from safetensors.torch import save_file

    target = run.folder / "checkpoints" / f"step-{run.state.step:06d}"
    partial = target.with_name(f".{target.name}.partial")
    main = run.process.is_main
    # gathering divided weights may need every process
    tensors = run.hook.ft_checkpoint_state(run=run, model=run.model)
    own = {
        "random": random_state(),
        "plugins": _plugin_states(run),
        "scaler": run.scaler.state_dict(),
    }
    with _all_or_none(run, partial):
        if main:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
    with _all_or_none(run, partial):
        torch.save(own, partial / _own_file(run))
        if main:
            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, partial / "model.safetensors")
            torch.save(_state(run.optimizer), partial / "optimizer.pt")
            torch.save(_state(run.scheduler), partial / "scheduler.pt")
            (partial / "state.json").write_text(json.dumps(asdict(run.state)), encoding="utf-8")
    with _all_or_none(run, partial):
        if main:
            for path in (*partial.iterdir(), partial):
                _sync(path)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
            _sync(target.parent)
            for old in checkpoints(run.folder)[:-keep]:
                if step_of(old) in spared:
                    continue
                # renamed first: a kill in the middle must leave no half of a complete one
                shutil.rmtree(old.rename(old.with_name(f".{old.name}.old")), ignore_errors=True)
    run.selection.notify("ft_checkpoint_saved", run=run, folder=target)
    return target


@contextmanager
def _all_or_none(run: Run, partial: Path) -> Iterator[None]:
    """Write files; where one process fails to, every process raises.

    What failed other than the disk is raised as it is.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    # before anything is raised: the others wait here
    if not run.sum(float(failure is not None)):
        return
    reason: str | None = "another process of this run failed"
    if failure is not None and (reason := write_failure(failure)) is None:
        raise failure
    if run.process.is_main:
        shutil.rmtree(partial, ignore_errors=True)
    kept = checkpoints(run.folder)
    raise RunError(
        f"a checkpoint could not be written: {reason}",
        where=str(partial.parent),
        hint=f"make room, then go on from {kept[-1].name} with: ft resume {run.folder}"
        if kept
        else "make room and start the run again; no checkpoint was complete yet",
    ) from failure


def _sync(path: Path) -> None:
    """Have the disk hold a file, or a folder's list of files, before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _own_file(run: Run) -> str:
    return f"process-{run.process.rank}.pt"


def load_checkpoint(run: Run, folder: Path) -> None:
    """Put model, optimizer, schedule, plugin state and counters back.

    The random generators are for :func:`load_random_state`, right before the first step.
    """
    import torch

    with _readable(folder):
        scheduler = torch.load(folder / "scheduler.pt", weights_only=True)
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        own = _load_own(run, folder)
    load_weights(run, folder)
    rates = getattr(run.scheduler, "base_lrs", [])
    load_optimizer(run, folder)
    if scheduler is not None:
        run.scheduler.load_state_dict(scheduler)
        if rates != getattr(run.scheduler, "base_lrs", []):
            _set_rates(run, rates)
    if own.get("scaler"):
        run.scaler.load_state_dict(own["scaler"])
    del state["total_steps"]  # the recipe's; somebody may have asked for more since
    for name, value in state.items():
        setattr(run.state, name, value)
    run.state.interrupted = False
    keys = _keys(run)
    for plugin in run.parts():
        found = own.get("plugins", {}).get(keys[id(plugin)])
        if found is not None:
            run.selection.call(plugin, "ft_restore_plugin_state", run=run, state=found)


def load_weights(run: Run, folder: Path) -> None:
    """Put the model, and what trains beside it, back to a checkpoint."""
    from safetensors.torch import load_file

    with _readable(folder):
        tensors = load_file(folder / "model.safetensors", device=str(run.device))
    run.hook.ft_restore_state(run=run, model=run.model, tensors=tensors)
    run.weights_changed()


def load_optimizer(run: Run, folder: Path) -> None:
    """Put the state of the optimizer back to a checkpoint, where it has one."""
    import torch

    with _readable(folder):
        state = torch.load(folder / "optimizer.pt", map_location=run.device, weights_only=True)
    if state is not None:
        run.optimizer.load_state_dict(state)


def _set_rates(run: Run, rates: list[float]) -> None:
    """Go on along the schedule with the peak rates of the recipe, which were changed since."""
    saved = run.scheduler.base_lrs
    groups = run.optimizer.param_groups
    for group, rate, before in zip(groups, rates, saved, strict=True):
        group["lr"] *= rate / before
        group["initial_lr"] = rate
    run.scheduler.base_lrs = rates
    run.scheduler._last_lr = [group["lr"] for group in groups]


def load_random_state(run: Run, folder: Path) -> None:
    """Put this process's random generators back."""
    with _readable(folder):
        own = _load_own(run, folder)
    if own:
        set_random_state(own["random"])


def _load_own(run: Run, folder: Path) -> dict[str, Any]:
    """What this process wrote; nothing for one that the interrupted run did not have."""
    import torch

    file = folder / _own_file(run)
    if not file.exists() and not run.process.is_main:
        return {}
    return torch.load(file, weights_only=True)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(
            f"this checkpoint cannot be read ({type(error).__name__}: {error})",
            where=str(folder),
            hint="remove the folder; the run then resumes from the one before",
        ) from error


def _plugin_states(run: Run) -> dict[str, Any]:
    keys = _keys(run)
    states = run.selection.each("ft_plugin_state", run=run)
    return {keys[id(plugin)]: dict(state) for plugin, state in states if state}


def _keys(run: Run) -> dict[int, str]:
    """The name of each plugin in a checkpoint, by its id: its kind and its label."""
    kinds = {plugin.kind for plugin in run.parts()}
    return {
        id(plugin): f"{kind}:{label}"
        for kind in kinds
        for label, plugin in run.selection.labelled(kind).items()
    }


def _state(part: Any) -> Any:
    """What an optimizer or a schedule is at; ``None`` without one."""
    return part.state_dict() if part is not None else None


def random_state() -> dict[str, Any]:
    """The state of the generators of python, numpy and torch."""
    import numpy as np
    import torch

    version, internal, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(np.array(keys)), *rest],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators back to where :func:`random_state` found them."""
    import numpy as np
    import torch

    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy(), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
