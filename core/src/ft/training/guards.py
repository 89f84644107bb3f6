"""Guards: what they see of a run that goes wrong, and what is done about it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Protocol

from ft.api import Run, RunError, TrainerOptions
from ft.training.checkpoint import checkpoints, step_of
from ft.training.metrics import StepMetrics

LOWER = "lower optimizer.learning_rate, or add optimizer.warmup"


class Guard(Protocol):
    """Looks at the metrics of each logged step; everything it knows, it knows from those."""

    suspects: bool
    """Whether the newest step looks wrong, be it for the first time."""

    def see(self, line: Mapping[str, float]) -> str | None:
        """What is wrong, once it has been wrong for long enough to be sure."""


class Diverges:
    """The loss rises and stays up.

    The running mean of the logged losses (0.9 of it kept at each) lies above twice its best
    and above one and a half times the start, at :attr:`PATIENCE` logged steps in a row. Both:
    a loss near 0 doubles by chance, and one that never fell has no best to speak of. The start
    is the median of the first :attr:`FIRST` losses, or half as much again as the very first
    where that is less: at far too high a rate the second is out of bounds already. A loss that
    starts below :attr:`LEAST` is an objective and no distance, as that of a policy gradient is,
    and is not judged.
    """

    FIRST, PATIENCE, LEAST = 5, 5, 0.05

    def __init__(self) -> None:
        self.suspects = False
        self._first: list[float] = []
        self._count, self._high, self._mean = 0, 0, 0.0
        self._best = math.inf

    def see(self, line: Mapping[str, float]) -> str | None:
        loss = line.get("loss")
        if loss is None:
            return None
        self._count += 1
        self._mean = 0.9 * self._mean + 0.1 * loss
        mean = self._mean / (1 - 0.9**self._count)
        if self._count <= self.FIRST:
            self._first.append(loss)
            return None
        start = min(median(self._first), 1.5 * self._first[0])
        self._best = min(self._best, mean, start)
        self.suspects = start >= self.LEAST and mean > max(2 * self._best, 1.5 * start)
        self._high = self._high + 1 if self.suspects else 0
        if self._high < self.PATIENCE:
            return None
        return (
            f"the loss diverges: its running mean is {mean:.3g}, after {self._first[0]:.3g} at "
            f"first; {LOWER}"
        )


class Explodes:
    """The gradient norm grows out of all proportion.

    It lies above :attr:`TIMES` times its median over the last :attr:`WINDOW` logged steps, at
    :attr:`PATIENCE` of them in a row: a single odd batch is what clipping is for.
    """

    TIMES, WINDOW, LEAST, PATIENCE = 20, 50, 8, 3

    def __init__(self) -> None:
        self.suspects = False
        self._norms: deque[float] = deque(maxlen=self.WINDOW)
        self._high = 0

    def see(self, line: Mapping[str, float]) -> str | None:
        norm = line.get("grad_norm")
        if norm is None or not math.isfinite(norm):
            return None
        usual = median(self._norms) if len(self._norms) >= self.LEAST else math.inf
        self.suspects = norm > self.TIMES * usual > 0
        self._high = self._high + 1 if self.suspects else 0
        if not self.suspects:
            self._norms.append(norm)
        if self._high < self.PATIENCE:
            return None
        return (
            f"the gradient norm explodes: {norm:.3g}, where {usual:.3g} was usual; {LOWER}, and "
            "look at the rows of these steps"
        )


class Vanishes:
    """No trained parameter gets a gradient: the norm is exactly 0 at 3 logged steps in a row."""

    PATIENCE = 3

    def __init__(self) -> None:
        self.suspects = False
        self._zeros = 0

    def see(self, line: Mapping[str, float]) -> str | None:
        self.suspects = line.get("grad_norm") == 0
        self._zeros = self._zeros + 1 if self.suspects else 0
        if self._zeros < self.PATIENCE:
            return None
        return (
            "no gradient reaches any trained parameter; look at what the adapter trains, and at "
            "what freezes or detaches the layers in between"
        )


class Unreached:
    """Trained parameters that had no gradient at any of the first :attr:`STEPS` steps.

    A backward pass leaves ``None`` where nothing of the loss depends on a parameter; whether
    it did is known without waiting for the device. Those that an optimizer has switched off
    for now are not asked about.
    """

    STEPS = 20

    def __init__(self, run: Run):
        self._run = run
        self._left = dict(run.trainable())
        self._steps = 0

    def see(self) -> str | None:
        """Called between the backward pass and the step; the answer comes once."""
        if not self._left:
            return None
        self._left = {name: p for name, p in self._left.items() if p.grad is None}
        self._steps += 1
        if self._steps < min(self.STEPS, self._run.state.total_steps):
            return None
        names = sorted(name for name, p in self._left.items() if p.requires_grad)
        self._left = {}
        if not names:
            return None
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return (
            f"{len(names)} trained parameters never got a gradient: {', '.join(names[:3])}{more}; "
            "leave them out of what the adapter trains, or bring data that uses them"
        )


class Guards:
    """All guards of a run, and what happens when one sees something.

    ``trainer.guards`` says it: ``warn`` tells and goes on, ``stop`` ends the run, ``off`` looks
    at nothing. A loss that is no number ends the run in any case. The guards begin again from
    ``run.state.history``, so that a resumed run is watched as one that never stopped.
    """

    def __init__(self, run: Run):
        options: TrainerOptions = run.part("trainer").options
        self.run = run
        self.wanted = options.guards
        self.healthy_step = 0
        """The last logged step at which nothing looked wrong."""
        # an optimizer that takes its gradients inside the backward pass leaves none to look at
        kept = all("gradient-clipping" in p.capabilities().accepts for p in run.parts("optimizer"))
        of_gradients: list[Guard] = [Explodes(), Vanishes()] if kept else []
        self._guards: list[Guard] = [Diverges(), *of_gradients]
        self._unreached = Unreached(run) if kept else None
        self._told: set[str] = set()
        for line in run.state.history:
            if "loss" in line:
                self._look(line)

    def gradients(self) -> None:
        """Look at which parameters have gradients; between the backward pass and the step."""
        if self.wanted != "off" and self._unreached and (found := self._unreached.see()):
            self.tell(found, self.run.state.step + 1)

    def numbers(self, metrics: StepMetrics) -> None:
        """Raise :class:`RunError` where the loss, or the norm of the gradients, is no number.

        Any step may be asked about, logged or not: nothing may be saved of it. In float16 an
        infinite norm is the scaler's business, which skips the step.
        """
        found = metrics.read
        names = ["loss"] if self.run.scaler.is_enabled() else ["loss", "grad_norm"]
        for name in names:
            if not math.isfinite(found.get(name, 0.0)):
                what = "loss" if name == "loss" else "gradient norm"
                # the weights of the last step made it: their checkpoint is the last choice
                last = metrics.step - 1
                raise self.stopped(
                    f"the {what} is {found[name]} at step {metrics.step}",
                    before=last if self._before(last) else metrics.step,
                    also=", or try trainer.precision: float32",
                )

    def logged(self, line: Mapping[str, float]) -> None:
        """Look at a step's metrics as they were logged; tell, or raise :class:`RunError`."""
        if self.wanted == "off":
            return
        for guard, found in self._look(line):
            name = type(guard).__name__
            if found is None:
                if not guard.suspects:
                    self._told.discard(name)
            elif name not in self._told:
                self._told.add(name)
                self.tell(found, int(line["step"]))

    def _look(self, line: Mapping[str, float]) -> list[tuple[Guard, str | None]]:
        seen = [(guard, guard.see(line)) for guard in self._guards]
        if not any(guard.suspects for guard in self._guards):
            self.healthy_step = int(line["step"])
        return seen

    def tell(self, found: str, step: int) -> None:
        """Warn of something, or stop for it, as ``trainer.guards`` says."""
        if self.wanted == "stop":
            raise self.stopped(f"step {step}: {found}", before=self.healthy_step + 1)
        self.run.progress.warn(f"step {step}: {found}")

    def spared(self) -> int | None:
        """The step whose checkpoint must not make room for that of a step which looks wrong."""
        if self.healthy_step >= self.run.state.step:
            return None
        return next(iter(self._before(self.healthy_step + 1)[-1:]), None)

    def _before(self, step: int) -> list[int]:
        """The steps below ``step`` that have a checkpoint."""
        return [found for found in map(step_of, checkpoints(self.run.folder)) if found < step]

    def stopped(self, message: str, *, before: int, also: str = "") -> RunError:
        """The error that ends the run; names the last checkpoint from before a step."""
        folder = self.run.folder
        kept = self._before(before)
        if not kept:
            return RunError(
                message,
                hint=f"{LOWER}{also}; no checkpoint is from before: remove {folder} and start "
                "again, with trainer.save_every for checkpoints on the way",
            )
        rate = self.run.optimizer.param_groups[0].get("initial_lr", 0.0) / 3
        return RunError(
            message,
            hint=f"lower optimizer.learning_rate{also}; the checkpoint of step {kept[-1]} is from "
            f"before: ft resume {folder} --step {kept[-1]} optimizer.learning_rate={rate:.1e}",
        )
