"""LISA: layerwise importance sampled AdamW (Pan et al., 2024, arXiv:2403.17919)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ft.api import Adapter, Field, InputError, PluginOptions, Run, hookimpl
from ft.api.layers import decoder_layers

if TYPE_CHECKING:
    from torch import nn


class Lisa(Adapter):
    """A few decoder layers train at a time, drawn at random every ``every`` steps.

    For training all weights with the gradients and the optimizer state of a few layers. The
    embeddings, the output layer and the last norm train at every step; parts of the model that
    are no text, such as a vision tower, stay as they are. A layer that is drawn begins with
    fresh optimizer state; that of the layers before is dropped. The result is a whole model.
    """

    paper = "arXiv:2403.17919"
    needs = frozenset({"decoder-layers"})
    # a process group expects a gradient of every weight that trained at first
    conflicts = frozenset({"data-parallel"})

    class Options(PluginOptions):
        active: int = Field(2, gt=0, description="decoder layers that train at a time")
        every: int = Field(20, gt=0, description="optimizer steps before they are drawn anew")

    samples = ({"active": 1, "every": 1},)
    taken = 0
    """Optimizer steps so far: which layers train follows from it and from the run's seed."""

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        layers = decoder_layers(run, model)[1]
        if self.options.active > len(layers):
            raise InputError(
                f"adapter.active is {self.options.active}, and this model has {len(layers)} "
                "decoder layers"
            )
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(run.family.group_of(name) in ("language", None))
        # every one of them has its turn; in a family whose parts leave the layers out, too
        layers.requires_grad_(True)
        return model

    @hookimpl
    def ft_run_started(self, run: Run) -> None:
        self._activate(run)

    @hookimpl
    def ft_step_taken(self, run: Run) -> None:
        self.taken += 1
        if self.taken % self.options.every == 0:
            self._activate(run)

    def chosen(self, seed: int, count: int) -> list[int]:
        """The numbers of the layers whose turn it is."""
        draw = random.Random(f"{seed}:{self.taken // self.options.every}")
        return draw.sample(range(count), self.options.active)

    def _activate(self, run: Run) -> None:
        layers = decoder_layers(run, run.model)[1]
        active = self.chosen(run.seed, len(layers))
        for number, layer in enumerate(layers):
            layer.requires_grad_(number in active)
            if number not in active:
                for parameter in layer.parameters():
                    run.optimizer.state.pop(parameter, None)
                    parameter.grad = None

    @hookimpl
    def ft_plugin_state(self) -> Mapping[str, Any]:
        return {"taken": self.taken}

    @hookimpl
    def ft_restore_plugin_state(self, state: Mapping[str, Any]) -> None:
        self.taken = state["taken"]


adapter = Lisa()
