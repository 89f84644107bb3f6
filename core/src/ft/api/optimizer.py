"""Kind ``optimizer``: how weights follow gradients, and the learning rate over time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from ft.api._markers import hookimpl
from ft.api.capability import Capabilities
from ft.api.plugin import Plugin, PluginOptions

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as TorchOptimizer
    from torch.optim.lr_scheduler import LRScheduler

    from ft.api.run import Run

Schedule = Literal[
    "constant",
    "linear",
    "cosine",
    "cosine-with-restarts",
    "polynomial",
    "warmup-stable-decay",
    "inverse-sqrt",
]
SCHEDULE_OPTIONS: dict[str, tuple[str, float]] = {
    "cycles": ("cosine-with-restarts", 2),
    "power": ("polynomial", 2.0),
    "decay": ("warmup-stable-decay", 0.1),
}
"""Option → the one schedule that has it, and what it is there unless it is given."""
ENDLESS = ("constant", "inverse-sqrt")
"""Schedules that fall to no end, and so have no learning rate there."""


class OptimizerOptions(PluginOptions):
    """What every optimizer understands."""

    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        0.0, ge=0, description="decay of weight matrices; norms and biases never decay"
    )
    schedule: Schedule = Field(
        "cosine", description="course of the learning rate after the warm-up"
    )
    warmup: float = Field(
        0.0, ge=0, description="warm-up: a share of all steps below 1, a number of steps from 1"
    )
    min_learning_rate: float = Field(
        0.0, ge=0, description="learning rate at the end of a falling schedule"
    )
    cycles: int | None = Field(
        None, ge=1, description="cosine-with-restarts: falls from the peak; 2 unless given"
    )
    power: float | None = Field(
        None, gt=0, description="polynomial: the exponent of what is left to do; 2 unless given"
    )
    decay: float | None = Field(
        None,
        gt=0,
        description="warmup-stable-decay: the steps that fall at the end, as warmup counts them; "
        "0.1 unless given",
    )

    @field_validator("min_learning_rate")
    @classmethod
    def _fits_the_schedule(cls, value: float, info: ValidationInfo) -> float:
        schedule, peak = info.data.get("schedule"), info.data.get("learning_rate")
        if value and schedule in ENDLESS:
            raise ValueError(f"schedule {schedule} has no end where this learning rate would hold")
        if peak is not None and value > peak:
            raise ValueError(f"the schedule falls, and learning_rate is only {peak:g}")
        return value

    @field_validator(*SCHEDULE_OPTIONS)
    @classmethod
    def _belongs_to_the_schedule(cls, value: Any, info: ValidationInfo) -> Any:
        owner, default = SCHEDULE_OPTIONS[str(info.field_name)]
        if info.data.get("schedule") == owner:
            return default if value is None else value
        if value is not None and "schedule" in info.data:
            raise ValueError(
                f"this belongs to schedule {owner}, and the schedule is {info.data['schedule']}"
            )
        return value


class Optimizer(Plugin):
    """An optimizer; a subclass implements :func:`ft_build_optimizer`.

    One of torch's or of a library is built there. One of its own is easiest written as
    :class:`ft.api.per_parameter.PerParameter`, which steps after the backward pass or inside
    of it.

    One that steps inside the backward pass does not accept ``gradient-accumulation``,
    ``gradient-clipping`` and ``data-parallel``, and provides neither ``step-closure`` nor
    ``whole-gradients``; its ``step()`` may then do nothing. :class:`LayerwiseOptimizer` leaves
    the choice to the user. One that switches ``requires_grad`` between blocks does not accept
    ``data-parallel`` and does not provide ``whole-gradients``. All that it must know to go on
    belongs into its ``state_dict()``, which a checkpoint keeps.
    """

    kind = "optimizer"
    Options = OptimizerOptions
    provides = frozenset({"optimizer", "step-closure", "whole-gradients"})
    accepts = frozenset({"gradient-accumulation", "gradient-clipping", "data-parallel"})

    def bytes_per_parameter(self) -> float:
        """Bytes of state for each parameter of a large float32 matrix, with these options."""
        raise NotImplementedError

    @hookimpl
    def ft_build_scheduler(self, optimizer: TorchOptimizer, steps: int) -> LRScheduler:
        from ft.training.schedule import build_schedule

        return build_schedule(optimizer, self.options, steps)

    def parameter_groups(self, run: Run) -> list[dict]:
        """The trainable parameters in two groups: those that decay and those that do not.

        Matrices decay; vectors (norms, biases, gates) do not.
        """
        decayed = [p for _, p in run.trainable() if p.ndim >= 2]
        others = [p for _, p in run.trainable() if p.ndim < 2]
        groups = [
            {"params": decayed, "weight_decay": self.options.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def hidden_matrices(self, run: Run) -> list[nn.Parameter]:
        """The trained matrices inside the layers, stacks of them (experts) included.

        Embeddings, the output layer and modules beside the model are left out: methods that are
        made for matrices treat those as vectors.
        """
        from torch import nn

        output = run.model.get_output_embeddings()  # type: ignore[operator]
        outer = {
            id(parameter)
            for module in run.model.modules()
            if isinstance(module, nn.Embedding) or module is output
            for parameter in module.parameters()
        }
        hidden = {id(parameter) for parameter in run.model.parameters()} - outer
        return [p for _, p in run.trainable() if p.ndim >= 2 and id(p) in hidden]

    def groups_by_matrix(self, run: Run, **settings: Any) -> list[dict]:
        """The groups of :meth:`parameter_groups`, with :meth:`hidden_matrices` in one of their own.

        ``settings`` are further keys of that group, by which an optimizer knows it.
        """
        matrices = self.hidden_matrices(run)
        own = {"params": matrices, "weight_decay": self.options.weight_decay, **settings}
        known = {id(parameter) for parameter in matrices}
        others = [
            {**group, "params": [p for p in group["params"] if id(p) not in known]}
            for group in self.parameter_groups(run)
        ]
        return [group for group in (own, *others) if group["params"]]


class LayerwiseOptions(OptimizerOptions):
    """What an optimizer understands that can step inside the backward pass."""

    layerwise: bool = Field(False, description="step inside the backward pass")


class LayerwiseOptimizer(Optimizer):
    """An optimizer that steps inside the backward pass where the option ``layerwise`` says so.

    Each gradient is used and freed as soon as the backward pass has it (Lv et al., 2023,
    arXiv:2306.09782), so that one is there at a time.
    """

    class Options(LayerwiseOptions):
        pass

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if not self.options.layerwise:
            return said
        return replace(
            said, accepts=said.accepts - Optimizer.accepts, provides=frozenset({"optimizer"})
        )
