"""Measuring the model on evaluation sets, without a trace on training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ft.api import Run
from ft.training.batches import micro_batch_size, updates_of
from ft.training.checkpoint import random_state, set_random_state
from ft.training.losses import compute_loss
from ft.training.meter import reported

if TYPE_CHECKING:
    from torch import nn


def evaluate(run: Run, model: nn.Module) -> dict[str, float]:
    """Mean loss and metrics on each evaluation set, and what the evaluators measure."""
    import torch

    size = micro_batch_size(run)  # as in training, so that what fits there fits here
    wide = torch.float32 if run.device.type == "mps" else torch.float64
    metrics: dict[str, float] = {}
    with measuring(run, model), torch.no_grad(), run.autocast():
        for name, data in run.eval_data.items():
            sums: dict[str, Any] = {}
            units = 0.0
            for start in range(0, len(data), size):
                rows = [data[i] for i in range(start, min(start + size, len(data)))]
                made = updates_of(run, model, [run.collate(rows)])
                for one in (one for update in made for one in update):
                    loss = compute_loss(run, model, one.batch, one.units)
                    for key, value in {"loss": loss.total, **loss.metrics}.items():
                        # left on the device until the set is through
                        sums[key] = sums.get(key, 0.0) + torch.as_tensor(value, dtype=wide)
                    units += one.units
            means = {key: float(value) / max(units, 1e-9) for key, value in sums.items()}
            metrics |= {f"{name}/{key}": v for key, v in {**means, **reported(run)}.items()}
        for label, evaluator in run.selection.labelled("evaluator").items():
            found = run.selection.call(evaluator, "ft_evaluate", run=run, model=model)
            metrics |= {f"{label}/{key}": float(v) for key, v in (found or {}).items()}
    metrics["step"] = run.state.step
    run.state.history.append(metrics)
    run.progress.evaluated(metrics)
    run.selection.notify("ft_evaluated", run=run, metrics=metrics)
    return metrics


@contextmanager
def measuring(run: Run, model: nn.Module) -> Iterator[None]:
    """The weights that count, without dropout and without a trace.

    Training goes on as if nobody had looked.
    """
    modules = [model, *run.modules.values()]
    training = [module.training for module in modules]
    generators = random_state()
    for module in modules:
        module.eval()
    try:
        with result_weights(run):
            yield
    finally:
        for module, was in zip(modules, training, strict=True):
            module.train(was)
        set_random_state(generators)


@contextmanager
def result_weights(run: Run) -> Iterator[None]:
    """The weights that are measured and saved, in the place of those that train."""
    context = run.hook.ft_result_weights(run=run, model=run.model)
    if context is None:
        yield
        return
    try:
        with context:
            run.weights_changed()
            yield
    finally:
        run.weights_changed()
