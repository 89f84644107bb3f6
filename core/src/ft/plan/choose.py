"""The micro batch, the recomputed layers and the kernels that are fastest within a memory."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ft.api import InputError
from ft.api.estimate import Device, Estimate
from ft.pipeline.device import choose_weight_dtype
from ft.pipeline.load import patched_config
from ft.pipeline.run import start
from ft.plan.memory import Weights, is_half, terms, weigh
from ft.plan.shapes import adapted_model
from ft.plan.time import Work, count_work, seconds
from ft.plan.trace import Traced
from ft.plugins.load import load
from ft.plugins.selection import Selection
from ft.recipe.fit import misfits
from ft.training.precision import choose_precision

if TYPE_CHECKING:
    from ft.api import Kernel, Plugin, Progress, Run
    from ft.plugins.index import Index
    from ft.recipe.resolved import Resolved

CLOSE = 0.005
"""Share of the speed below which fewer changes to the recipe count for more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One way to take a step: its settings, memory by term in bytes, and speed in tokens/s."""

    kernels: tuple[str, ...]
    micro_batch_size: int
    recomputed: int
    depth: int
    terms: dict[str, float]
    tokens_per_second: float
    silent: tuple[str, ...] = ()

    @property
    def peak(self) -> float:
        return sum(self.terms.values())

    @property
    def gradient_checkpointing(self) -> bool | int:
        """As the recipe would say it."""
        return self.recomputed if 0 < self.recomputed < self.depth else bool(self.recomputed)


class Planner:
    """All that is known of a recipe for estimates; one trace for each set of kernels."""

    def __init__(self, resolved: Resolved, device: Device, progress: Progress):
        self.resolved, self.device, self.progress = resolved, device, progress
        self.options = resolved.selection.one("trainer").options
        self.known: dict[tuple[tuple[str, str], ...], Callable[[int, int], Plan]] = {}
        self.weights: Weights | None = None

    def plans(self, kernels: Sequence[Plugin]) -> Callable[[int, int], Plan]:
        """A function from micro batch and recomputed layers to the plan with these kernels."""
        key = tuple((kernel.name, kernel.options.model_dump_json()) for kernel in kernels)
        if key in self.known:
            return self.known[key]
        others = [p for p in self.resolved.selection.all() if p.kind != "kernel"]
        # bound afresh: a kernel may keep state of a run
        chosen = [copy.copy(kernel) for kernel in kernels]
        selection = Selection([*others, *chosen], self.resolved.selection.defaults)
        run = start(dataclasses.replace(self.resolved, selection=selection), self.progress)
        try:
            self.known[key] = self._trace(run, chosen)
        finally:
            run.selection.notify("ft_end_process", run=run, ending=True)
        return self.known[key]

    def _trace(self, run: Run, kernels: Sequence[Plugin]) -> Callable[[int, int], Plan]:
        run.device = torch.device(self.device.type)
        run.weight_dtype = choose_weight_dtype(run)
        precision = self._precision(run)
        run.config = patched_config(run, run.model_folder)
        model = adapted_model(run)
        # the same for all sets of kernels: what they change is said by ft_estimate
        weights = self.weights = self.weights or weigh(run, model)
        work = count_work(model, run.config.get_text_config())
        estimate = Estimate(model, self.device, dense_mask=self.options.packing)
        try:
            traced = Traced(run, estimate, self.options.max_length, precision)
        except (NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"this model cannot be run without values: {str(error).splitlines()[0][:160]}",
                where=str(run.model_folder),
                hint="models whose way depends on values, such as those that route tokens, "
                "cannot be planned yet",
            ) from error
        silent = tuple(kernel.name for kernel in kernels if not hasattr(kernel, "ft_estimate"))
        names = tuple(kernel.name for kernel in kernels)
        half = is_half(run)

        def plan(rows: int, recomputed: int) -> Plan:
            return self._plan(
                weights, work, estimate, traced, rows, recomputed, names, silent, half
            )

        return plan

    def _plan(
        self,
        weights: Weights,
        work: Work,
        estimate: Estimate,
        traced: Traced,
        rows: int,
        recomputed: int,
        names: tuple[str, ...],
        silent: tuple[str, ...],
        half: bool,
    ) -> Plan:
        recomputed = min(recomputed, traced.depth)
        accumulating = rows < self.options.batch_size
        found = terms(
            weights, estimate, traced, rows, recomputed, accumulating=accumulating, half=half
        )
        length = self.options.max_length
        spent = seconds(work, estimate, traced, rows, length, recomputed)
        # each step reads and writes what the optimizer holds, once for all of its micro batches
        update = 3 * (2 * weights.trained + weights.update.state) / self.device.bandwidth
        spent += update * rows / self.options.batch_size
        speed = rows * length / spent
        return Plan(names, rows, recomputed, traced.depth, found, speed, silent)

    def _precision(self, run: Run) -> torch.dtype:
        if self.options.precision == "auto" and self.device.type != "cpu":
            return torch.bfloat16
        return choose_precision(self.options.precision, torch.device(self.device.type))


def written(planner: Planner) -> Plan:
    """The plan of the recipe as it is."""
    options = planner.options
    wanted = options.gradient_checkpointing
    layers = 10**6 if wanted is True else int(wanted)
    kernels = planner.resolved.selection.all("kernel")
    return planner.plans(kernels)(options.micro_batch_size or options.batch_size, layers)


def alternatives(planner: Planner, index: Index) -> Iterator[Sequence[Plugin]]:
    """Sets of kernels to compare: the recipe's, all that fit, and those without each one.

    Only installed kernels that say what they change (:func:`ft_estimate`) are added.
    """
    selection = planner.resolved.selection
    own = list(selection.all("kernel"))
    yield own
    every = list(own)
    for record in index.records:
        if record.kind != "kernel" or record.state != "ok":
            continue
        plugin: Kernel = load(record)  # type: ignore[assignment]
        if not hasattr(plugin, "ft_estimate") or any(record.name == k.name for k in every):
            continue
        bound = plugin.bind(record.name, {}, distribution=record.distribution)
        others = [part for part in selection.all() if part.kind != "kernel"]
        if not misfits([*others, *every, bound]):
            every.append(bound)
    added = [kernel for kernel in every if kernel not in own]
    if added:
        yield every
    if len(added) > 1:
        for left in added:
            yield [kernel for kernel in every if kernel is not left]


def search(planner: Planner, index: Index, memory: float) -> list[Plan]:
    """The fastest plan of each set of kernels and micro batch, the best first.

    Of each the fewest layers are recomputed with which it fits in ``memory`` bytes; where none
    does, all are, and it stands behind those that fit.
    """
    whole = planner.options.batch_size
    sizes = [size for size in range(1, whole + 1) if whole % size == 0]
    found: list[Plan] = []
    for kernels in alternatives(planner, index):
        plan = planner.plans(kernels)
        depth = plan(1, 0).depth
        for rows in sizes:
            tried: Any = (plan(rows, layers) for layers in range(depth + 1))
            found.append(next((p for p in tried if p.peak <= memory), plan(rows, depth)))
    fastest = max(found, key=lambda p: (p.peak <= memory, p.tokens_per_second))

    def order(plan: Plan) -> tuple[bool, bool, float]:
        near = plan.tokens_per_second >= (1 - CLOSE) * fastest.tokens_per_second
        fits = plan.peak <= memory
        # of those as good as the fastest, the one that leaves the most memory
        return not fits, not near, plan.peak if near and fits else -plan.tokens_per_second

    return sorted(found, key=order)
