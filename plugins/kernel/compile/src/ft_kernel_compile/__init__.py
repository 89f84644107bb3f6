"""Decoder layers through torch.compile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ft.api import Field, InputError, Kernel, PluginOptions, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Compile(Kernel):
    """The layers of the model are compiled, one piece of code for all that are alike.

    The compiler (Ansel et al., 2024, doi:10.1145/3620665.3640366) joins what lies between the
    products, and recomputes backward what is cheaper to make again than to keep. With
    ``trainer.gradient_checkpointing`` it keeps a layer's input and makes again just what the
    backward pass reads, where plain checkpointing runs the whole layer once more. The first
    steps take longer, some ten seconds on an accelerator.
    """

    # what inductor makes of a layer is tried beside the layers that it is made for
    samples = ({"backend": "aot_eager"},)

    class Options(PluginOptions):
        backend: Literal["inductor", "aot_eager", "cudagraphs"] = Field(
            "inductor", description="what torch.compile makes of a layer; aot_eager: no new code"
        )

    @hookimpl
    def ft_patch_trained(self, run: Run, model: nn.Module) -> None:
        from transformers.modeling_layers import GradientCheckpointingLayer

        layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
        if not layers:
            raise InputError(
                "kernel compile: this model has no layers that are known as such",
                hint="leave the kernel out",
            )
        for layer in layers:
            layer.compile(backend=self.options.backend)


kernel = Compile()
