"""The pipeline: the steps of a run, in order."""

from __future__ import annotations

import gc
import sys
from contextlib import nullcontext
from pathlib import Path

from ft.api import Progress, Run
from ft.errors import RunError
from ft.pipeline.data import prepare_data
from ft.pipeline.device import choose_device, seed_everything
from ft.pipeline.folder import new_run_folder, refuse_used_folder
from ft.pipeline.garbage import objects_kept
from ft.pipeline.load import adapt, load_config, load_processor, settle_template
from ft.pipeline.lock import write_lock
from ft.pipeline.report import write_report
from ft.pipeline.save import save_result
from ft.pipeline.startup import check_start
from ft.recipe.resolved import Resolved
from ft.training.batches import only_core_has
from ft.training.best import Best
from ft.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    load_optimizer,
    load_random_state,
    load_weights,
    step_of,
)
from ft.training.interrupt import stop_on_interrupt
from ft.training.loop import count_steps, make_order
from ft.training.meter import Meter
from ft.training.precision import choose_precision, make_scaler
from ft.training.recompute import checkpoint_activations


def start(resolved: Resolved, progress: Progress) -> Run:
    """A run of a resolved recipe, before anything is loaded."""
    run = Run(
        resolved.selection,
        folder=resolved.output,
        source=resolved.source,
        seed=resolved.seed,
        progress=progress,
    )
    run.model_folder = resolved.model_folder
    return run


def start_process(run: Run, device: str) -> None:
    """Choose the device, join the other processes, seed.

    All processes draw the same numbers until they train, so that what they add to the model
    is the same everywhere; only the main one speaks to the user.
    """
    run.device = choose_device(device)
    run.hook.ft_start_process(run=run)
    if run.device.index is not None:
        import torch

        # kernels of other libraries run on the current device, wherever their tensors lie
        torch.accelerator.set_device_index(run.device.index)
    if not run.process.is_main:
        run.progress = Progress()
    seed_everything(run.seed)


def execute(resolved: Resolved, progress: Progress, *, resume: Path | None = None) -> Run:
    """Train as a resolved recipe says; with ``resume`` from that checkpoint.

    Returns the finished run. Raises :class:`ft.errors.FtError`; what was trained until then
    lies in the last checkpoint.
    """
    run = start(resolved, progress)
    code = run.hook.ft_launch(run=run, command=[sys.executable, *sys.orig_argv[1:]])
    if code is not None:
        raise SystemExit(code)
    try:
        with objects_kept():  # most of what is imported, and nothing large
            start_process(run, resolved.device)
            is_new = resume is None and run.process.is_main
            if is_new:
                refuse_used_folder(resolved.output)
            load_config(run)
            load_processor(run)
            settle_template(run, resolved)
        with new_run_folder(resolved) if is_new else nullcontext():
            prepare_data(run, resolved)
            check_start(run, resolved)
            adapt(run)
            if is_new:
                write_lock(run, resolved)
        train(run, resume)
        if run.state.interrupted and run.state.step < run.state.total_steps:
            raise interrupted(run)
        load_best(run)
        save_result(run)
        if run.process.is_main:
            write_report(run, resolved)
        run.selection.notify("ft_run_finished", run=run)
    except BaseException as error:
        run.selection.notify("ft_run_failed", run=run, error=error, ending=True)
        raise
    finally:
        run.selection.notify("ft_end_process", run=run, ending=True)
        gc.unfreeze()
    return run


def train(run: Run, resume: Path | None) -> None:
    """Build optimizer and schedule, pick up a checkpoint, train."""
    order = make_order(run)
    options = run.part("trainer").options
    run.state.total_steps = count_steps(options, order)
    if options.gradient_checkpointing:
        checkpoint_activations(run.model, options.gradient_checkpointing)
    model = run.hook.ft_wrap_model(run=run, model=run.model)
    run.optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    precision = choose_precision(options.precision, run.device)
    run.scaler = make_scaler(run, precision)
    run.scheduler = run.hook.ft_build_scheduler(
        run=run, optimizer=run.optimizer, steps=run.state.total_steps
    )
    if resume is not None:
        load_checkpoint(run, resume)
    run.selection.notify("ft_run_started", run=run)
    # from here on, so that what was drawn to load and to start makes no difference
    seed_everything(run.seed + run.process.rank)
    if resume is not None:
        load_random_state(run, resume)
    run.meter = Meter(run)
    with stop_on_interrupt(run):
        run.hook.ft_train(run=run, model=model)


def load_best(run: Run) -> None:
    """Put the weights of the best evaluation back where ``trainer.load_best`` wants them."""
    if not run.part("trainer").options.load_best:
        return
    step = Best(run).step()
    found = {step_of(folder): folder for folder in checkpoints(run.folder)}
    if step is None or step == run.state.step or step not in found:
        return
    load_weights(run, found[step])
    if not only_core_has(run, "ft_result_weights"):
        load_optimizer(run, found[step])  # what the weights that count are made of
    run.progress.say(f"the result has the weights of step {step}, the best evaluation")


def interrupted(run: Run) -> RunError:
    """What the user reads after Ctrl-C."""
    saved = checkpoints(run.folder)[-1:]
    where = f"stopped after step {run.state.step} of {run.state.total_steps}"
    if not saved:  # a trainer with a loop of its own
        return RunError(f"{where}; no checkpoint was saved")
    return RunError(f"{where}; saved {saved[0].name}", hint=f"go on with: ft resume {run.folder}")
