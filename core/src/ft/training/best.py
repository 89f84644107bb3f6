"""The best evaluation so far: which checkpoint to keep for it, and when to wait no longer."""

from __future__ import annotations

from ft.api import InputError, Run, TrainerOptions
from ft.api.trainer import BestBy

FALLS = ("loss", "perplexity")
RISES = ("accuracy",)
"""Metrics that go without ``mode``, by the last word of their name: which way is better."""


class Best:
    """Follows a metric of the evaluations through ``run.state.history``.

    All that it knows it reads from there, so that a resumed run goes on as if it had never
    stopped. Where nothing asks for a best evaluation it does nothing.
    """

    def __init__(self, run: Run):
        options: TrainerOptions = run.part("trainer").options
        self.run = run
        self.patience = options.early_stopping
        kept = options.keep_best
        if options.load_best and kept is False:
            kept = True
        if kept is True:  # by what early stopping goes by, if it does
            kept = self.patience or BestBy.model_validate({})
        self.kept = (
            BestBy.model_validate({"metric": kept}) if isinstance(kept, str) else kept or None
        )
        for wanted in filter(None, (self.patience, self.kept)):
            self._name(wanted)
            self._sign(wanted)

    # -- which metric ----------------------------------------------------------------------

    def _name(self, by: BestBy) -> str:
        if not self.run.eval_data and not self.run.parts("evaluator"):
            raise InputError(
                "early stopping and the best checkpoint go by an evaluation, and this run has "
                "nothing to evaluate on",
                hint="set eval_split or eval_data, or leave early_stopping and keep_best out",
            )
        if by.metric is None and not self.run.eval_data:
            raise InputError(
                "there is no evaluation set whose loss could be followed",
                hint="name the evaluator's metric, as {metric: name/score, mode: max}",
            )
        return by.metric or f"{next(iter(self.run.eval_data))}/loss"

    def _sign(self, by: BestBy) -> int:
        """1 where a lower value is better, -1 where a higher one is."""
        name = self._name(by)
        last = name.rpartition("/")[2].rpartition("_")[2]
        mode = by.mode or ("min" if last in FALLS else "max" if last in RISES else None)
        if mode is None:
            raise InputError(
                f"whether a higher or a lower {name} is better cannot be known from its name",
                hint=f"say it: {{metric: {name}, mode: max}} or mode: min",
            )
        return 1 if mode == "min" else -1

    def _values(self, by: BestBy) -> list[tuple[int, float]]:
        """Step and value of each evaluation so far; lower is better.

        Raises :class:`InputError` where the evaluations do not have the metric.
        """
        name, sign = self._name(by), self._sign(by)
        history = self.run.state.history
        found = [(int(line["step"]), sign * line[name]) for line in history if name in line]
        evaluations = [line for line in history if "loss" not in line]
        if evaluations and not found:
            there = ", ".join(key for key in evaluations[-1] if key != "step")
            raise InputError(f"the evaluations have no metric {name}", hint=f"they have: {there}")
        return found

    # -- what follows from it --------------------------------------------------------------

    def step(self) -> int | None:
        """The step of the best evaluation, whose checkpoint is kept; the first of equals."""
        values = self._values(self.kept) if self.kept else []
        return min(values, key=lambda pair: pair[1])[0] if values else None

    def is_newest(self) -> bool:
        """Whether the evaluation of the step that just ended is the best."""
        return self.step() == self.run.state.step

    def enough(self) -> str | None:
        """Why to end now: nothing better came for ``patience`` evaluations in a row."""
        if self.patience is None:
            return None
        best, since, at = float("inf"), 0, 0
        for step, value in self._values(self.patience):
            since += 1
            # a nan is no improvement, whatever it is compared with
            if value < best - self.patience.min_delta:
                best, since, at = value, 0, step
        if since < self.patience.patience:
            return None
        name, value = self._name(self.patience), best * self._sign(self.patience)
        return f"{name} was best at step {at} ({value:.4f}), {since} evaluations ago: stopping"
