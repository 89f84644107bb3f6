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


class LowRank(Adapter):
    """W + B A with W frozen; B starts at zero."""

    needs = frozenset({"linear-layers"})
    accepts = frozenset({"quantized-base", "packing"})
    provides = frozenset({"frozen-base", "switchable-adapter", "mergeable", "starts-at-base"})

    class Options(PluginOptions):
        rank: int = Field(4, gt=0, description="inner width of the update")

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        import torch
        from torch import nn

        model.requires_grad_(False)
        head = model.get_output_embeddings()  # type: ignore[operator]
        module: Any
        for module in list(model.modules()):
            if not _is_linear(module) or module is head:
                continue
            device = next(module.buffers(), next(module.parameters(), torch.empty(0))).device
            generator = torch.Generator().manual_seed(run.seed)
            down = torch.randn(self.options.rank, module.in_features, generator=generator)
            up = torch.zeros(module.out_features, self.options.rank)
            module.update_down = nn.Parameter((down / module.in_features**0.5).to(device))
            module.update_up = nn.Parameter(up.to(device))
            module.update_is_on = True
            module.register_forward_hook(_add_update)
        if not any(name.endswith("update_up") for name, _ in model.named_parameters()):
            raise InputError("this model has no linear layer to adapt")
        return model

    @hookimpl
    def ft_save_model(self, run: Run, model: nn.Module, folder: Path) -> bool:
        from safetensors.torch import save_file

        if run.process.is_main:
            update = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
            folder.mkdir(parents=True, exist_ok=True)
            save_file(update, folder / FILE)
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        import torch
        from safetensors.torch import load_file

        update = load_file(folder / FILE, device=str(run.device))
        model = self.ft_adapt_model(run=run, model=run.load_base())
        own = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if {n: t.shape for n, t in update.items()} != {n: p.shape for n, p in own.items()}:
            raise InputError("this update was made for another base model", where=str(folder))
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(update[name])
        return model

    @hookimpl
    def ft_merge_model(self, run: Run, model: nn.Module) -> nn.Module:
        import torch

        with torch.no_grad():
            module: Any
            for module in model.modules():
                if not hasattr(module, "update_up"):
                    continue
                if not module.weight.is_floating_point():
                    raise InputError("an update cannot be merged into quantized weights")
                module.weight += module.update_up @ module.update_down
                module.update_is_on = False
                del module.update_up, module.update_down
        return model

    @hookimpl
    def ft_use_adapter(self, run: Run, model: nn.Module, name: str | None) -> Any:
        return None if name else _off(model)

    @hookimpl
    def ft_initial_weights(self, run: Run, model: nn.Module) -> Any:
        return _off(model)


def _is_linear(module: nn.Module) -> bool:
    """A linear layer, quantized ones included."""
    return hasattr(module, "in_features") and hasattr(module, "out_features")


def _add_update(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    if not module.update_is_on:
        return output
    update = inputs[0].to(module.update_down.dtype) @ module.update_down.T @ module.update_up.T
    return output + update.to(output.dtype)


@contextmanager
def _off(model: nn.Module) -> Iterator[None]:
    adapted: list[Any] = [module for module in model.modules() if hasattr(module, "update_up")]
    for module in adapted:
        module.update_is_on = False
    try:
        yield
    finally:
        for module in adapted:
            module.update_is_on = True


adapter = LowRank()
