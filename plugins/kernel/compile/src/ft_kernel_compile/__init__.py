"""Decoder layers through torch.compile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ft.api import Estimate, Field, InputError, Kernel, PluginOptions, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Compile(Kernel):
    """The layers of the model are compiled, one piece of code for all that are alike.

    The compiler (Ansel et al., 2024, doi:10.1145/3620665.3640366) joins what lies between the
    products, and decides what to keep for the backward pass. In a layer that
    ``trainer.gradient_checkpointing`` has recompute, it keeps the input and makes again just
    what the backward pass reads, where plain checkpointing runs the whole layer once more. The
    first steps take longer, some ten seconds on an accelerator.
    """

    same_shapes = True

    # what inductor makes of a layer is tried beside the layers that it is made for
    samples = ({"backend": "aot_eager"},)

    class Options(PluginOptions):
        backend: Literal["inductor", "aot_eager"] = Field(
            "inductor", description="what torch.compile makes of a layer; aot_eager: no new code"
        )

    @hookimpl
    def ft_patch_trained(self, run: Run, model: nn.Module) -> None:
        from ft_kernel_compile.layers import compile_layers

        if not compile_layers(model, self.options.backend):
            raise InputError(
                "kernel compile: this model has no layers that are known as such",
                hint="leave the kernel out",
            )

    @hookimpl
    def ft_estimate(self, estimate: Estimate) -> None:
        if self.options.backend == "inductor":
            # what the compiler joins is neither kept wide nor written one by one
            estimate.keeps_wide = False
            estimate.kept = 0.9  # as measured on an H200 with torch 2.11
            estimate.traffic *= 0.4


kernel = Compile()
