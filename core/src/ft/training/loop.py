"""The training loop: core's default for the hook ``ft_train``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ft.api import Run, RunError, TrainerOptions
from ft.data.stream import Stream
from ft.training.batches import (
    DataStep,
    MicroBatch,
    Upcoming,
    collate_step,
    counted,
    only_core_has,
    updates_of,
)
from ft.training.best import Best
from ft.training.checkpoint import save_checkpoint
from ft.training.evaluate import evaluate, measuring
from ft.training.guards import Guards
from ft.training.losses import compute_loss
from ft.training.memory import Memory, explained
from ft.training.meter import reported
from ft.training.metrics import StepMetrics, UpdateMetrics
from ft.training.order import Order
from ft.training.sample import sample

if TYPE_CHECKING:
    from torch import Tensor, nn


def make_order(run: Run) -> Order | Stream:
    """The order in which this run takes its rows."""
    if isinstance(run.data, Stream):
        return run.data
    options: TrainerOptions = run.part("trainer").options
    return Order(
        run.data.lengths,
        options.batch_size,
        run.seed,
        shuffle=options.shuffle,
        sort_by_length=options.sort_by_length,
    )


def count_steps(options: TrainerOptions, order: Order | Stream) -> int:
    """Optimizer steps of the whole run."""
    # rounded first: 0.07 of 100 steps is 7.000000000000001 of them
    exact = round(options.epochs * order.steps_per_epoch, 6)
    return options.steps or max(1, math.ceil(exact))


def train(run: Run, model: nn.Module) -> None:
    """Train from ``run.state.step`` to the last step, evaluating and saving on the way."""
    with explained(run):
        Loop(run, model).run_steps()


class Loop:
    """One pass through the steps of a run, with what watches over it."""

    def __init__(self, run: Run, model: nn.Module):
        self.run, self.model = run, model
        self.options: TrainerOptions = run.part("trainer").options
        self.guards, self.memory, self.best = Guards(run), Memory(run), Best(run)
        # to walk through the modules of a model takes milliseconds, and a step has some eighty
        self.trained = [parameter for _, parameter in run.trainable()]
        self.unread: StepMetrics | None = None

    def run_steps(self) -> None:
        run, options, state = self.run, self.options, self.run.state
        order = make_order(run)
        eval_every = options.eval_every or order.steps_per_epoch
        self.memory.restore()
        self.model.train()
        if state.stop:  # it had ended when it was saved; only its result is missing
            return
        upcoming = Upcoming(run, order.batches(state.step, state.total_steps))
        for data in upcoming:
            updates = self.take_data_step(data)
            # the schedule counts steps of the data, however many updates a trainer makes of one
            run.scheduler.step()
            metrics = StepMetrics(data.step + 1, updates, reported(run))
            # from here to the first number that is read, the device works and nobody waits
            upcoming.prepare()
            self.read_metrics()
            state.step = data.step + 1
            state.epoch = state.step / order.steps_per_epoch
            stopping = agree_to_stop(run)
            last = state.step == state.total_steps or stopping
            logging = last or state.step % options.log_every == 0
            evaluating = last or state.step % eval_every == 0
            saving = last or (options.save_every and state.step % options.save_every == 0)
            metrics.place = run.meter.place() if logging else None
            self.unread = metrics
            # one step late where a device works on: it would have nothing to do meanwhile
            if last or saving or (evaluating and run.eval_data) or not metrics.on_the_way:
                self.read_metrics()
            if evaluating and run.eval_data:
                self.evaluate()
                saving = saving or self.best.is_newest()
            # asked again: who was told of the step or of the evaluation may want to stop
            stopping = stopping or agree_to_stop(run)
            if saving or stopping:
                self.save()
            if stopping:
                return

    def read_metrics(self) -> None:
        """Look at the newest metrics that nobody has read yet; tell them if they are logged."""
        metrics, self.unread = self.unread, None
        if metrics is None:
            return
        self.guards.numbers(metrics)
        if metrics.place is not None:
            self.guards.logged(self.run.meter.report(metrics.read, metrics.place))

    def evaluate(self) -> None:
        """Measure, now and then sample, and see whether it gets any better."""
        run = self.run
        evaluate(run, self.model)
        every, done = self.options.sample_every, run.state.step == run.state.total_steps
        before = sum("loss" not in line for line in run.state.history) - 1
        if every and (done or before % every == 0):
            with measuring(run, self.model):
                sample(run, run.model, self.guards)
        if (reason := self.best.enough()) and not run.state.stop:
            run.progress.say(reason)
            run.state.stop = True
        run.meter.pause()

    def save(self) -> None:
        """Save a step that is known to be sound."""
        self.read_metrics()
        spared = self.best.step(), self.guards.spared()
        save_checkpoint(self.run, self.options.keep_checkpoints, spared)
        self.run.meter.pause()

    def take_data_step(self, data: DataStep) -> list[UpdateMetrics]:
        """All optimizer steps of a step of the data."""
        run = self.run
        batches, data.collated = data.collated or collate_step(run, data.items), None
        own = not only_core_has(run, "ft_make_batches")
        return [
            self.take_step(micro, None if own else data.items)
            for micro in updates_of(run, self.model, batches)
        ]

    def take_step(self, micro: list[MicroBatch], items: list[int] | None = None) -> UpdateMetrics:
        """One optimizer step.

        ``items`` are the rows of which the micro batches can be made anew, in smaller pieces.
        """
        run = self.run
        units = run.sum(sum(one.units for one in micro))
        tokens = int(run.sum(sum(one.tokens for one in micro)))
        while (sums := self.memory.attempt(self.accumulate, micro, units)) is None:
            self.memory.step_down(smaller=items is not None)
            if items is not None:
                micro = [counted(run, batch) for batch in collate_step(run, items)]
        run.state.tokens += tokens
        average_module_gradients(run)
        if run.scaler.is_enabled():
            run.scaler.unscale_(run.optimizer)
        run.hook.ft_gradients_ready(run=run, model=self.model)
        self.guards.gradients()
        grad_norm = clip(self.trained, self.options.max_grad_norm)
        learning_rate = run.scheduler.get_last_lr()[0]
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.weights_changed()
        run.hook.ft_step_taken(run=run, model=self.model)
        run.optimizer.zero_grad(set_to_none=True)
        return UpdateMetrics(run, sums, units, grad_norm=grad_norm, learning_rate=learning_rate)

    def accumulate(self, micro: list[MicroBatch], units: float) -> dict[str, Any]:
        """Sum the gradients of one step; returns the sums of its loss and its metrics."""
        run, model = self.run, self.model
        scale = run.process.world_size / max(units, 1e-9)  # processes' gradients are averaged
        sums: dict[str, Any] = {}
        for number, one in enumerate(micro, 1):
            apart = number < len(micro) and hasattr(model, "no_sync")
            with model.no_sync() if apart else nullcontext():  # type: ignore[operator]
                with run.autocast():
                    loss = compute_loss(run, model, one.batch, one.units)
                if not loss.total.requires_grad:
                    raise RunError(
                        f"the loss of step {run.state.step + 1} depends on no trained parameter",
                        hint="look at what the adapter trains, and at what detaches its output",
                    )
                run.scaler.scale(loss.total * scale).backward()
            for name, value in {"loss": loss.total.detach(), **loss.metrics}.items():
                sums[name] = sums.get(name, 0.0) + value
        return sums


def agree_to_stop(run: Run) -> bool:
    """Whether any process wants to end after this step; all of them know it afterwards."""
    stopping = False
    for flag in ("stop", "interrupted"):
        if run.sum(float(getattr(run.state, flag))):
            setattr(run.state, flag, True)
            stopping = True
    return stopping


def average_module_gradients(run: Run) -> None:
    """Average the gradients of modules beside the model over the processes.

    Those of the model are the business of the wrapper that a backend put around it.
    """
    import torch

    if run.process.world_size == 1:
        return
    for module in run.modules.values():
        for parameter in module.parameters():
            if parameter.requires_grad:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = run.sum(own) / run.process.world_size


def clip(trained: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Clip the gradients of the trained parameters in place; returns their norm before."""
    import torch

    parameters = [p for p in trained if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if max_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
