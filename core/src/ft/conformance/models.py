"""What checks of model families share: rows, comparisons, a run that is killed."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Encoded, Run, Tracker, hookimpl
from ft.conformance.bench import Rows, gradients, some
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

APART = 1e-3
"""How far two gradients may lie apart, as a part of the largest of the parameter's own.

Sums in another order differ in the last bits; what is really another step differs by more."""


def of_type(subject: Subject, model_type: str, folder: Path) -> Subject:
    """The same family with another model type, in a folder of its own."""
    return replace(subject, model_type=model_type, folder=folder)


def rows_of(run: Run, lengths: Sequence[int], trained: Sequence[int] = (), seed: int = 1) -> Rows:
    """Rows of random ids with these lengths, with the columns that the model's text rows have.

    ``trained`` are how many tokens at the end of each are trained on: all but three, unless it
    is given.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    columns = run.encode_text(["a"])[0].per_token
    ends = trained or [length - 3 for length in lengths]
    rows = Rows()
    for length, end in zip(lengths, ends, strict=True):
        ids = torch.randint(30, min(len(run.tokenizer), 250), (length,), generator=generator)
        weights = [0.0] * (length - end) + [1.0] * end
        rows.append(Encoded(ids.tolist(), weights, {name: [0] * length for name in columns}))
    return rows


def without_dropout(run: Run) -> Run:
    """The run, its model free of what it draws at random in training."""
    for module in run.model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, float) and ("drop" in name or "Dropout" in type(module).__name__):
                setattr(module, name, 0.0)
    return run


def assert_same_step(
    run: Run, one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]], what: str
) -> None:
    """One step over ``one`` has the loss and the gradients of one over ``other``.

    Both are micro batches of encoded rows.
    """
    assert_same_gradients(gradients(run, one), gradients(run, other), what)


def assert_same_gradients(
    one: tuple[float, Mapping[str, Tensor]], other: tuple[float, Mapping[str, Tensor]], what: str
) -> None:
    """Raise where two losses, or the gradients that belong to them, differ."""
    (loss, found), (expected, wanted) = one, other
    assert abs(loss - expected) <= 1e-4 * abs(expected), (
        f"{what}: the loss is {loss:.6g} and {expected:.6g}"
    )
    odd = found.keys() ^ wanted.keys()
    assert not odd, f"{what}: only one of the two gives a gradient to {some(odd)}"
    # where the gradient of a parameter is all but zero, only noise is left to compare
    largest = max((float(tensor.abs().max()) for tensor in wanted.values()), default=0.0)
    for name, gradient in wanted.items():
        apart = float((found[name] - gradient).abs().max())
        size = float(gradient.abs().max())
        assert apart <= APART * size + 1e-5 * largest, (
            f"{what}: the gradients of {name} lie up to {apart:.3g} apart, and the largest is "
            f"{size:.3g}"
        )


def assert_same_state(one: nn.Module, other: nn.Module, what: str) -> None:
    """Two models have the same tensors under the same names, bit for bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    odd = mine.keys() ^ theirs.keys()
    assert not odd, f"{what}: only one of the two has {some(odd)}"
    differing = [name for name in mine if not mine[name].equal(theirs[name])]
    assert not differing, (
        f"{what}: {len(differing)} of {len(mine)} tensors differ, such as {some(differing, 1)}"
    )


class Killer(Tracker):
    """Kills the process after a step; no code of it gets to run afterwards."""

    step = 0

    @hookimpl
    def ft_step_ended(self, metrics: Mapping[str, float]) -> None:
        if metrics["step"] == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def run_and_kill(start: Callable[[Tracker], object], step: int) -> None:
    """Have ``start`` train in a process of its own that is killed after ``step``.

    It hands the tracker that it is given to its run.
    """
    process = os.fork()
    if not process:
        try:
            killer = Killer().bind("killer")
            killer.step = step
            start(killer)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)
    _, status = os.waitpid(process, 0)
    assert status == signal.SIGKILL, (
        f"the run that was to be killed after step {step} ended before that"
    )
