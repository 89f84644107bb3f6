"""LLaMA-Pro: progressive LLaMA with block expansion (Wu et al., 2024, arXiv:2401.02415)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Adapter, Field, PluginOptions, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class LlamaPro(Adapter):
    """New decoder layers, spread evenly between those of the model, train alone.

    For teaching a model something new, in further pre-training say, with all that it knows left
    in place. A new layer is a copy of the one before it whose outputs into the residual stream
    are zero, so that the model starts unchanged. The result is a whole model with more layers.
    """

    paper = "arXiv:2401.02415"
    needs = frozenset({"decoder-layers"})
    provides = frozenset({"changed-architecture", "starts-at-base"})

    class Options(PluginOptions):
        layers: int = Field(
            8,
            gt=0,
            description="new decoder layers; where they divide those of the model, one "
            "stands after each group",
        )
        outputs: list[str] = Field(
            ["o_proj", "out_proj", "c_proj", "dense", "down_proj", "fc2", "fc_out", "w2"],
            description="modules of a layer, by the end of their names, that write into the "
            "residual stream",
        )

    samples = ({"layers": 1},)

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        from ft_adapter_llama_pro.expand import expand

        model.requires_grad_(False)
        for layer in expand(run, model, self.options.layers, self.options.outputs):
            layer.requires_grad_(True)
        return model


adapter = LlamaPro()
