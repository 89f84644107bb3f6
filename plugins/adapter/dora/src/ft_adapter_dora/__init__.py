"""DoRA (Liu et al., 2024, arXiv:2402.09353)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Run, hookimpl
from ft_adapter_lora import Lora

if TYPE_CHECKING:
    from torch import nn


class Dora(Lora):
    """DoRA: m (W + s B A) / ||W + s B A||, with a magnitude m for each output.

    LoRA changes the direction of a weight's rows, and m, which starts at the norms of W, their
    length. It comes closer to full fine-tuning than LoRA does at small ranks. The norm counts
    as a constant in the gradient (section 4.3). It is found without making the weight as a
    whole, so that any quantized base will do.
    """

    paper = "arXiv:2402.09353"

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        return super().settings(run, model) | {"use_dora": True}

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        with own_layers():
            return super().ft_adapt_model(run=run, model=model)

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        with own_layers():
            return super().ft_restore_model(run=run, folder=folder)

    @hookimpl
    def ft_add_adapter(
        self, run: Run, model: nn.Module, name: str, folder: Path | None
    ) -> bool | None:
        with own_layers():
            return super().ft_add_adapter(run=run, model=model, name=name, folder=folder)


@contextmanager
def own_layers() -> Iterator[None]:
    """Have PEFT make :class:`ft_adapter_dora.norms.Norms` where it would make its own layer."""
    from peft.tuners.lora import variants

    from ft_adapter_dora.norms import Norms

    module: Any = variants
    theirs, module.DoraLinearLayer = module.DoraLinearLayer, Norms
    try:
        yield
    finally:
        module.DoraLinearLayer = theirs


adapter = Dora()
