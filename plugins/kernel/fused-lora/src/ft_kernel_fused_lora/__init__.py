"""LoRA layers in fewer and larger operations, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Estimate, Kernel, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class FusedLora(Kernel):
    """A LoRA layer as one operation, with a backward pass of its own.

    Written out, LoRA adds four products and four passes over activations to each layer, casts
    its weights each time and keeps more than it needs. Here the low-rank product is a few more
    columns of the frozen one (or is added in place), layers that share an input share a product,
    and the frozen weight is neither copied nor kept for backward. The idea is Unsloth's; the
    mathematics is LoRA's (Hu et al., 2021, arXiv:2106.09685), and so are the results.

    Works on PEFT's LoRA over plain, 4-bit (bitsandbytes) and
    :class:`ft.api.FrozenLinear` layers. A layer with dropout, DoRA or another variant stays as
    it is, and so does one whose adapter is switched off, merged or exchanged while it is.
    """

    @hookimpl
    def ft_patch_trained(self, run: Run, model: nn.Module) -> None:
        from ft_kernel_fused_lora.layers import fuse

        fused, left = fuse(model)
        if not fused:
            run.progress.warn(f"{self!r} has nothing to do: {left or 'no LoRA layer is there'}")

    @hookimpl
    def ft_estimate(self, estimate: Estimate) -> None:
        from ft_kernel_fused_lora.layers import fuse

        fuse(estimate.model, on_cpu=estimate.device.type == "cpu")


kernel = FusedLora()
