"""ReLoRA: high-rank training through low-rank updates (Lialin et al., 2023, arXiv:2307.05695)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from ft.api import Field, InputError, Run, hookimpl
from ft_adapter_lora import Lora

if TYPE_CHECKING:
    from torch import Tensor, nn

BASE = "base"
"""The folder beside a saved adapter with the base that it belongs to."""


class ReLora(Lora):
    """LoRA that is added to the base every ``restart_every`` steps and starts again.

    For long training, such as further pre-training: the sum of several updates has a higher rank
    than each of them. At a restart A is drawn anew and B is zero, most of the optimizer's moments
    of both are dropped, and the learning rate climbs back to its schedule over ``rewarmup``
    steps. The result is the last LoRA with the base that it belongs to, which `ft export` makes
    one model.
    """

    paper = "arXiv:2307.05695"
    accepts = Lora.accepts - {"quantized-base"}
    # switched off, it leaves a base that has moved
    provides = Lora.provides - {"frozen-base", "switchable-adapter", "several-adapters"}
    # the learning rate has to be one that ``step()`` reads, not a backward pass before it
    needs = Lora.needs | {"step-closure"}

    class Options(Lora.Options):
        restart_every: int = Field(1000, gt=0, description="optimizer steps between restarts")
        rewarmup: int = Field(
            50, ge=0, description="steps after a restart in which the learning rate climbs back"
        )
        prune: float = Field(
            0.99,
            ge=0,
            le=1,
            description="share of the optimizer's moments set to zero at a "
            "restart, the smallest first",
        )

        @model_validator(mode="after")
        def _climbs_in_time(self) -> Self:
            if self.rewarmup >= self.restart_every:
                raise ValueError("rewarmup must end before the next restart: restart_every")
            return self

    samples = ({"restart_every": 2, "rewarmup": 1},)
    taken = 0
    """Optimizer steps so far."""
    rates: tuple[Any, ...] = ()
    """The learning rates of the schedule while lower ones are in force."""

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        import torch

        if self.options.experts:
            raise InputError(
                "adapter.experts: relora cannot add to expert weights that are fused",
                hint="adapter: lora can adapt them",
            )
        saved = self.options.continue_from
        if saved is not None and (saved / BASE).is_dir():
            model = run.load_base(saved / BASE)
        adapted = super().ft_adapt_model(run=run, model=model)
        if self.taken >= self.options.restart_every:
            # a copy in the middle of a run: what is frozen is what it has become
            moved = dict(base_weights(run.model))
            with torch.no_grad():
                for name, weight in base_weights(adapted):
                    weight.copy_(moved[name])
        return adapted

    @hookimpl
    def ft_gradients_ready(self, run: Run) -> None:
        since = self.taken % self.options.restart_every
        if self.taken >= self.options.restart_every and since < self.options.rewarmup:
            self.rates = tuple(group["lr"] for group in run.optimizer.param_groups)
            for group in run.optimizer.param_groups:
                group["lr"] = group["lr"] * (since + 1) / (self.options.rewarmup + 1)

    @hookimpl
    def ft_step_taken(self, run: Run) -> None:
        from ft_adapter_relora.restart import restart

        if self.rates:  # the schedule goes on from its own
            for group, rate in zip(run.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate
            self.rates = ()
        self.taken += 1
        if self.taken % self.options.restart_every == 0:
            # the same in all processes, and another one each time
            restart(run, run.seed + self.taken, self.options.prune)

    @hookimpl
    def ft_plugin_state(self) -> Mapping[str, Any]:
        return {"taken": self.taken}

    @hookimpl
    def ft_restore_plugin_state(self, state: Mapping[str, Any]) -> None:
        self.taken = state["taken"]

    @hookimpl
    def ft_checkpoint_state(self, run: Run, model: nn.Module) -> Mapping[str, Tensor]:
        return {name: tensor.detach() for name, tensor in kept(run, model).items()}

    @hookimpl
    def ft_restore_state(self, run: Run, model: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
        import torch

        here = kept(run, model)
        if odd := sorted(here.keys() ^ tensors.keys()):
            raise InputError(f"the checkpoint has other tensors than this recipe: {odd[0]} differs")
        with torch.no_grad():
            for name, tensor in tensors.items():
                here[name].copy_(tensor)
        return True

    @hookimpl
    def ft_save_model(self, run: Run, model: Any, folder: Path) -> bool:
        from ft_adapter_relora.restart import save_base

        super().ft_save_model(run=run, model=model, folder=folder)
        if run.process.is_main:
            save_base(run, dict(base_weights(model)), folder, BASE)
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        return self._load(run.load_base(folder / BASE), folder, trainable=False)

    @hookimpl
    def ft_add_adapter(self, run: Run, model: nn.Module, name: str, folder: Path | None) -> None:
        return None  # the base under it is not the one that others belong to


def base_weights(model: nn.Module) -> list[tuple[str, Tensor]]:
    """The weights that a restart adds to, by their names in the adapted model."""
    named = model.named_parameters()
    return [(name, weight) for name, weight in named if name.endswith(".base_layer.weight")]


def kept(run: Run, model: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint holds: what trains, buffers beside the model, and the moved base."""
    found: dict[str, Tensor] = dict(run.trainable())
    for prefix, module in run.modules.items():
        state = module.state_dict()
        found |= {f"{prefix}.{n}": b for n, b in module.named_buffers() if n in state}
    return found | dict(base_weights(model))


adapter = ReLora()
