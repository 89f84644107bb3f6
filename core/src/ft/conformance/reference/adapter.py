"""The reference adapter: a low-rank update beside each linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Adapter, Field, InputError, PluginOptions, Run, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE = "update.safetensors"
FIRST = "first"
"""The name of the update that the run itself trains; further ones have names of their own."""


class LowRank(Adapter):
    """W + B A with W frozen; B starts at zero."""

    needs = frozenset({"linear-layers"})
    accepts = frozenset({"quantized-base", "packing"})
    provides = frozenset(
        {"frozen-base", "switchable-adapter", "several-adapters", "mergeable", "starts-at-base"}
    )

    class Options(PluginOptions):
        rank: int = Field(4, gt=0, description="inner width of the update")

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        from torch import nn

        model.requires_grad_(False)
        head = model.get_output_embeddings()  # type: ignore[operator]
        layers: list[Any] = [m for m in model.modules() if _is_linear(m) and m is not head]
        if not layers:
            raise InputError("this model has no linear layer to adapt")
        for layer in layers:
            layer.update = nn.ModuleDict()
            layer.update_in_use = FIRST
            layer.register_forward_hook(self.add_update)
            self.start_update(run, layer, FIRST)
        return model

    def start_update(self, run: Run, layer: Any, name: str) -> None:
        """Give a layer a fresh update: ``down`` (rank, in), random, and ``up`` (out, rank)."""
        import torch
        from torch import nn

        generator = torch.Generator().manual_seed(run.seed)
        down = torch.randn(self.options.rank, layer.in_features, generator=generator)
        parts = {
            "down": nn.Parameter(down / layer.in_features**0.5),
            "up": nn.Parameter(torch.zeros(layer.out_features, self.options.rank)),
        }
        layer.update[name] = nn.ParameterDict(parts).to(run.device)

    def add_update(self, layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Add the update in use to what a layer computes, in the update's own precision."""
        if layer.update_in_use is None:
            return output
        update = layer.update[layer.update_in_use]
        added = inputs[0].to(update["down"].dtype) @ update["down"].T @ update["up"].T
        return output + added.to(output.dtype)

    @hookimpl
    def ft_save_model(self, run: Run, model: nn.Module, folder: Path) -> bool:
        from safetensors.torch import save_file

        if run.process.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors(model, FIRST), folder / FILE)
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        model = self.ft_adapt_model(run=run, model=run.load_base())
        self.read(run, model, FIRST, folder)
        return model

    def read(self, run: Run, model: nn.Module, name: str, folder: Path) -> None:
        """Put a saved update into the one called ``name``."""
        import torch
        from safetensors.torch import load_file

        saved, own = load_file(folder / FILE, device=str(run.device)), tensors(model, name)
        if {n: t.shape for n, t in saved.items()} != {n: t.shape for n, t in own.items()}:
            raise InputError("this update was made for another base model", where=str(folder))
        with torch.no_grad():
            for key, tensor in own.items():
                tensor.copy_(saved[key])

    @hookimpl
    def ft_merge_model(self, run: Run, model: nn.Module) -> nn.Module:
        import torch

        layers = adapted(model)
        if not all(layer.weight.is_floating_point() for layer in layers):
            raise InputError("an update cannot be merged into quantized weights")
        with torch.no_grad():
            for layer in layers:
                update = layer.update[FIRST]
                layer.weight += update["up"] @ update["down"]
                layer.update_in_use = None
                del layer.update
        return model

    @hookimpl
    def ft_add_adapter(self, run: Run, model: nn.Module, name: str, folder: Path | None) -> bool:
        for layer in adapted(model):
            self.start_update(run, layer, name)
            layer.update[name].requires_grad_(folder is None)
        if folder is not None:
            self.read(run, model, name, folder)
        return True

    @hookimpl
    def ft_use_adapter(self, run: Run, model: nn.Module, name: str | None) -> Any:
        return using(model, name)

    @hookimpl
    def ft_initial_weights(self, run: Run, model: nn.Module) -> Any:
        return using(model, None)


def _is_linear(module: nn.Module) -> bool:
    """A linear layer, quantized ones included."""
    return hasattr(module, "in_features") and hasattr(module, "out_features")


def adapted(model: nn.Module) -> list[Any]:
    """The layers that have an update."""
    return [module for module in model.modules() if hasattr(module, "update_in_use")]


def tensors(model: nn.Module, name: str) -> dict[str, Tensor]:
    """The tensors of one update, under names that do not depend on what it is called."""
    return {
        key.replace(f".update.{name}.", ".update."): parameter.detach()
        for key, parameter in model.named_parameters()
        if f".update.{name}." in key
    }


@contextmanager
def using(model: nn.Module, name: str | None) -> Iterator[None]:
    """Have every layer use the update of this name, or none."""
    layers = adapted(model)
    former = [layer.update_in_use for layer in layers]
    for layer in layers:
        layer.update_in_use = name
    try:
        yield
    finally:
        for layer, used in zip(layers, former, strict=True):
            layer.update_in_use = used


adapter = LowRank()
