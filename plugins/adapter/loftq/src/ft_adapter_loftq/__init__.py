"""LoftQ (Li et al., 2023, arXiv:2310.08659)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run, hookimpl
from ft_adapter_lora import Lora, columns, split, started_layers

if TYPE_CHECKING:
    from torch import Tensor, nn

START = "start.safetensors"
"""The file with the factors that training began with."""


class LoftQ(Lora):
    """LoftQ: LoRA whose factors start as the main part of W - Q, which quantizing W to Q lost.

    The model starts nearer to the full-precision one than the quantized base is. For the Q that
    a quantizer makes of W these factors are the best ones, and the first step of the paper's
    alternation. A second step would quantize other weights than the checkpoint's, and the
    result would belong to a base that nobody else has. Adapting loads the base once more, in
    full precision.

    On a full-precision base, as in an export, the start is taken back out.
    """

    paper = "arXiv:2310.08659"
    needs = Lora.needs | {"quantized-base"}

    started: Mapping[str, Tensor] = {}
    """``<layer>.A`` and ``<layer>.B`` at the start."""

    def starts_at_base(self) -> bool:
        return False  # but where the base was before it was quantized

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        import torch
        from safetensors.torch import load_file

        adapted: Any = super().ft_adapt_model(run=run, model=model)
        former = self.options.continue_from
        if former is not None and (former / START).is_file():
            self.started = load_file(former / START)
        # a model without values is planned with: its shapes are those of a plain LoRA
        planned = adapted.device.type == "meta"
        if former is not None or planned or run.part("quantizer") is None:
            return adapted
        full = run.load_base(quantized=False)
        started: dict[str, Tensor] = {}
        with torch.no_grad():
            for layer in started_layers(adapted):
                unwrapped = layer.name.removeprefix("base_model.model.")
                weight: Any = full.get_submodule(unwrapped).weight
                lost = layer.turned(weight).float() - torch.cat(list(columns(layer.base))).T
                u, s, vt = torch.linalg.svd(lost, full_matrices=False)
                rank = layer.rank
                if rank > len(s):
                    raise InputError(
                        f"adapter.rank is {rank}, and {layer.name} has {len(s)} singular values"
                    )
                b, a = split(u[:, :rank], s[:rank] / layer.scale, vt[:rank])
                layer.lora.lora_B["default"].weight.copy_(b)
                layer.lora.lora_A["default"].weight.copy_(a)
                started |= {f"{layer.name}.B": b.contiguous(), f"{layer.name}.A": a.contiguous()}
        self.started = started
        return adapted

    @hookimpl
    def ft_save_model(self, run: Run, model: Any, folder: Path) -> bool:
        from safetensors.torch import save_file

        super().ft_save_model(run=run, model=model, folder=folder)
        if self.started and run.process.is_main:
            save_file(dict(self.started), folder / START)
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        import torch
        from safetensors.torch import load_file

        model: Any = super().ft_restore_model(run=run, folder=folder)
        if run.part("quantizer") is None and (folder / START).is_file():
            started = load_file(folder / START, device=str(run.device))
            with torch.no_grad():
                for layer in started_layers(model):
                    layer.take_out(started[f"{layer.name}.B"], started[f"{layer.name}.A"])
        return model


adapter = LoftQ()
