"""The training loop: core's default for the hook ``ft_train``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ft.api import Batch, Run, RunError, TrainerOptions
from ft.data.collate import IGNORED
from ft.training.checkpoint import save_checkpoint
from ft.training.evaluate import evaluate
from ft.training.losses import compute_loss
from ft.training.meter import reported
from ft.training.order import Order, micro_batches
from ft.training.precision import choose_precision

if TYPE_CHECKING:
    from torch import Tensor, nn


def make_order(run: Run) -> Order:
    """The order in which this run takes its rows."""
    options: TrainerOptions = run.part("trainer").options
    return Order(
        run.data.lengths,
        options.batch_size,
        run.seed,
        shuffle=options.shuffle,
        sort_by_length=options.sort_by_length,
    )


def count_steps(options: TrainerOptions, order: Order) -> int:
    """Optimizer steps of the whole run."""
    # rounded first: 0.07 of 100 steps is 7.000000000000001 of them
    exact = round(options.epochs * order.steps_per_epoch, 6)
    return options.steps or max(1, math.ceil(exact))


def train(run: Run, model: nn.Module) -> None:
    """Train from ``run.state.step`` to the last step, evaluating and saving on the way."""
    options: TrainerOptions = run.part("trainer").options
    order, state = make_order(run), run.state
    eval_every = options.eval_every or order.steps_per_epoch
    meter = run.meter
    model.train()
    if state.stop:  # it had ended when it was saved; only its result is missing
        return
    for step, items in order.batches(state.step, state.total_steps):
        batches = collate_step(run, items, options)
        taken = [
            take_step(run, model, step_batches, options)
            for step_batches in run.hook.ft_make_batches(run=run, model=model, batches=batches)
        ]
        # the schedule counts steps of the data, however many updates a trainer makes of one
        run.scheduler.step()
        metrics = {**mean_metrics(taken), **reported(run)}
        state.step = step + 1
        refuse_non_finite(run, metrics)
        state.epoch = state.step / order.steps_per_epoch
        stopping = agree_to_stop(run)
        last = state.step == state.total_steps or stopping
        if state.step % options.log_every == 0 or last:
            meter.report(metrics)
        if run.eval_data and (state.step % eval_every == 0 or last):
            evaluate(run, model)
            meter.pause()
        # asked again: who was told of the step or of the evaluation may want to stop
        stopping = stopping or agree_to_stop(run)
        if last or stopping or (options.save_every and state.step % options.save_every == 0):
            save_checkpoint(run, options.keep_checkpoints)
            meter.pause()
        if stopping:
            return


def agree_to_stop(run: Run) -> bool:
    """Whether any process wants to end after this step; all of them know it afterwards."""
    stopping = False
    for flag in ("stop", "interrupted"):
        if run.sum(float(getattr(run.state, flag))):
            setattr(run.state, flag, True)
            stopping = True
    return stopping


def mean_metrics(taken: list[dict[str, float]]) -> dict[str, float]:
    """The metrics of a step of the data, over the optimizer steps that it became."""
    return {key: sum(one[key] for one in taken) / len(taken) for one in taken[:1] for key in one}


def collate_step(run: Run, items: list[int], options: TrainerOptions) -> list[Batch]:
    """This process's micro batches of one step, on the device."""
    rank, world = run.process.rank, run.process.world_size
    size = options.micro_batch_size or -(-options.batch_size // world)
    batches = []
    for piece in micro_batches(items, size, rank, world):
        batch = run.collate([run.data[i] for i in piece or items[:1]])
        if not piece:  # keeps step with the other processes and teaches nothing
            batch = without_weight(batch)
        batches.append(run.to_device(batch))
    return batches


def without_weight(batch: Mapping[str, Any]) -> Batch:
    """The same batch with every loss weight 0 and no label."""
    out: Batch = {}
    for key, value in batch.items():
        if isinstance(value, Mapping):
            out[key] = without_weight(value)
        elif key == "weights":
            out[key] = value * 0
        elif key == "labels":
            out[key] = value.new_full(value.shape, IGNORED)
        else:
            out[key] = value
    return out


def refuse_non_finite(run: Run, metrics: Mapping[str, float]) -> None:
    """Raise :class:`RunError` where the loss is no number any more.

    At every step, whether it is logged or not: no checkpoint may be written from here on.
    """
    if not math.isfinite(metrics.get("loss", 0.0)):
        raise RunError(
            f"the loss is {metrics['loss']} at step {run.state.step}",
            hint="lower optimizer.learning_rate, add optimizer.warmup, or try "
            "trainer.precision: float32; the last checkpoint is from before",
        )


def take_step(
    run: Run, model: nn.Module, batches: list[Batch], options: TrainerOptions
) -> dict[str, Any]:
    """One optimizer step. Returns its metrics, still as tensors where they are tensors."""
    import torch

    precision = choose_precision(options.precision, run.device)
    autocast = torch.autocast(run.device.type, dtype=precision, enabled=precision != torch.float32)
    counts = [float(run.hook.ft_count_units(run=run, batch=batch)) for batch in batches]
    units = run.sum(sum(counts))
    scale = run.process.world_size / max(units, 1e-9)  # the processes' gradients are averaged
    # counted ahead: each count waits for the device
    tokens = sum(count_tokens(batch) for batch, count in zip(batches, counts, strict=True) if count)
    sums: dict[str, Any] = {}
    for number, batch in enumerate(batches):
        apart = number < len(batches) - 1 and hasattr(model, "no_sync")
        with model.no_sync() if apart else nullcontext():  # type: ignore[operator]
            with autocast:
                loss = compute_loss(run, model, batch, counts[number])
            run.scaler.scale(loss.total * scale).backward()
        for name, value in {"loss": loss.total.detach(), **loss.metrics}.items():
            sums[name] = sums.get(name, 0.0) + value
    run.state.tokens += int(run.sum(tokens))
    average_module_gradients(run)
    if run.scaler.is_enabled():
        run.scaler.unscale_(run.optimizer)
    run.hook.ft_gradients_ready(run=run, model=model)
    grad_norm = clip(run, options.max_grad_norm)
    learning_rate = run.scheduler.get_last_lr()[0]
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.hook.ft_step_taken(run=run, model=model)
    run.optimizer.zero_grad(set_to_none=True)
    return {
        **{name: run.sum(float(value)) / max(units, 1e-9) for name, value in sums.items()},
        "learning_rate": learning_rate,
        "grad_norm": float(grad_norm),
    }


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


def count_tokens(batch: Mapping[str, Any]) -> int:
    """Real tokens of a micro batch: what is neither padding nor counted twice."""
    if "input_ids" in batch:
        mask = batch.get("attention_mask")
        return int(mask.sum()) if mask is not None else batch["input_ids"].numel()
    return sum(count_tokens(part) for part in batch.values() if isinstance(part, Mapping))


def clip(run: Run, max_norm: float | None) -> Tensor:
    """Clip the gradients of the trained parameters in place; returns their norm before."""
    import torch

    parameters = [p for _, p in run.trainable() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if max_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
