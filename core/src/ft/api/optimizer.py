"""Kind ``optimizer``: how weights follow gradients, and the learning rate over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ft.api._markers import hookimpl
from ft.api.plugin import Plugin, PluginOptions

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer
    from torch.optim.lr_scheduler import LRScheduler

    from ft.api.run import Run


class OptimizerOptions(PluginOptions):
    """What every optimizer understands."""

    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        0.0, ge=0, description="decay of weight matrices; norms and biases never decay"
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="course of the learning rate after the warm-up"
    )
    warmup: float = Field(
        0.0, ge=0, description="warm-up: a share of all steps below 1, a number of steps from 1"
    )
    min_learning_rate: float = Field(
        0.0, ge=0, description="learning rate at the end of a falling schedule"
    )


class Optimizer(Plugin):
    """An optimizer; a subclass implements :func:`ft_build_optimizer`.

    One that steps inside the backward pass does not accept ``gradient-accumulation``,
    ``gradient-clipping`` and ``data-parallel``, and does not provide ``step-closure``; its
    ``step()`` may then do nothing. One that
    switches ``requires_grad`` between blocks does not accept ``data-parallel``. All that it
    must know to go on belongs into its ``state_dict()``, which a checkpoint keeps.
    """

    kind = "optimizer"
    Options = OptimizerOptions
    provides = frozenset({"optimizer", "step-closure"})
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
