"""LoRA that starts from a part of each weight, which is taken out of the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run, hookimpl
from ft_adapter_lora.lora import Lora
from ft_adapter_lora.stacked import stack, unstack
from ft_adapter_peft import seeded

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class StartedLayer:
    """A linear layer with the LoRA on it, whichever way round it holds its weight."""

    name: str
    lora: Any

    @property
    def base(self) -> Any:
        return self.lora.get_base_layer()

    @property
    def rank(self) -> int:
        return int(self.lora.r["default"])

    @property
    def scale(self) -> float:
        """The factor of B A in the update."""
        return float(self.lora.scaling["default"])

    def turned(self, weight: Tensor) -> Tensor:
        """From the way in which the base holds it to (out, in), or back."""
        return weight.T if getattr(self.lora, "fan_in_fan_out", False) else weight

    def weight(self) -> Tensor:
        """The base weight, (out, in) in float32."""
        return self.turned(self.base.weight.detach()).float()

    def take_out(self, b: Tensor, a: Tensor) -> None:
        """Subtract scale * B A from the base weight."""
        weight = self.base.weight
        rest = self.weight() - self.scale * (b @ a)
        weight.data = self.turned(rest).to(weight.dtype).contiguous()


class StartedLora(Lora):
    """A LoRA whose update is not zero at the start: a subclass says where each layer's begins.

    The model starts unchanged, because the base gives up what the factors hold. What is saved
    is B A - B0 A0, of the start B0 A0 and the end B A: a plain LoRA of twice the rank.
    """

    accepts = Lora.accepts - {"quantized-base"}
    # switched off, it leaves the base without what was taken out of it
    provides = Lora.provides - {"switchable-adapter", "several-adapters"}
    started: Mapping[str, tuple[Tensor, Tensor]] = {}
    """B0 (out, rank) and A0 (rank, in) by the name of the layer."""

    def factors(self, layer: StartedLayer, measured: Tensor | None) -> tuple[Tensor, Tensor]:
        """B0 (out, rank) and A0 (rank, in), in float32; the update is ``layer.scale`` * B0 A0."""
        raise NotImplementedError

    def measure(self, run: Run, model: PeftModel, layers: list[StartedLayer]) -> dict[str, Tensor]:
        """What :meth:`factors` needs of the run's data, by the name of the layer."""
        return {}

    def largest_rank(self, inputs: int, outputs: int) -> int:
        """The largest rank with which a layer can start."""
        return min(inputs, outputs)

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        if self.options.experts:
            raise InputError(
                f"adapter.experts: {self.name} cannot start from expert weights that are fused",
                hint="adapter: lora can adapt them",
            )
        return super().settings(run, model)

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        import torch

        adapted: Any = super().ft_adapt_model(run=run, model=model)
        # a model without values is planned with: its shapes are those of a plain LoRA
        if self.options.continue_from is not None or adapted.device.type == "meta":
            return adapted
        layers = list(started_layers(adapted))
        for layer in layers:
            outputs, inputs = layer.turned(layer.base.weight).shape
            if layer.rank > (most := self.largest_rank(inputs, outputs)):
                raise InputError(
                    f"adapter.rank is {layer.rank}, and {layer.name} ({inputs} x {outputs}) can "
                    f"start with {most} at most",
                    hint="lower it, or give such layers another one as adapter.rank_pattern",
                )
        started = {}
        with seeded(run):
            measured = self.measure(run, adapted, layers)
            with torch.no_grad():
                for layer in layers:
                    found = self.factors(layer, measured.pop(layer.name, None))
                    b, a = (factor.contiguous() for factor in found)
                    layer.take_out(b, a)
                    layer.lora.lora_B["default"].weight.copy_(b)
                    layer.lora.lora_A["default"].weight.copy_(a)
                    started[layer.name] = b, a
        self.started = started
        return adapted

    @hookimpl
    def ft_save_model(self, run: Run, model: Any, folder: Path) -> bool:
        super().ft_save_model(run=run, model=model, folder=folder)
        if self.started and run.process.is_main:
            stack(folder, self.started)
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        import torch

        model: Any = super().ft_restore_model(run=run, folder=folder)
        if model.peft_config["default"].r == 2 * self.options.rank:
            # as it was trained, and not only equal to it but for rounding
            with torch.no_grad():
                for layer in started_layers(model):
                    layer.take_out(*unstack(layer.lora))
        return model

    @hookimpl
    def ft_add_adapter(self, run: Run, model: nn.Module, name: str, folder: Path | None) -> None:
        return None  # the base under it is not the one that others belong to


def started_layers(model: PeftModel) -> Iterator[StartedLayer]:
    """The linear layers with a LoRA. Raises :class:`InputError` for one on another layer."""
    from peft.tuners.lora import LoraLayer
    from peft.tuners.lora.layer import ParamWrapper
    from torch import nn

    for name, module in model.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        downs = [down for down in module.lora_A.values() if isinstance(down, nn.Linear)]
        if not downs or isinstance(module, ParamWrapper):
            raise InputError(f"adapter.target: {name} is no linear layer, and has no start")
        yield StartedLayer(name, module)


def split(u: Tensor, s: Tensor, vt: Tensor) -> tuple[Tensor, Tensor]:
    """B and A, of one size, with B A = U diag(s) V^T."""
    root = s.sqrt()
    return u * root, root[:, None] * vt
