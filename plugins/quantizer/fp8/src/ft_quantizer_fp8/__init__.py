"""Frozen base weights, and their products, in 8-bit floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Estimate, Field, PluginOptions, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Float8(Quantizer):
    """The linear layers of the base in float8 (e4m3), quantized on load; adapters train on top.

    Every row of a weight has a scale of its own, and so has every token of an activation, which
    is rounded on the way into the product (FP8-LM, Peng et al., 2023, arXiv:2310.18313; formats:
    Micikevicius et al., 2022, arXiv:2209.05433). On an accelerator with float8 units (compute
    capability 8.9 and later) a product takes half of its bfloat16 time. The backward pass needs
    the weight the other way round, with scales of its own: kept as a second copy, the memory is
    that of bfloat16; without it (``backward: dequantized``) it is half, and the backward product
    is in bfloat16. Elsewhere the weights are dequantized for each product, and activations are
    not rounded.
    """

    paper = "arXiv:2310.18313"

    class Options(PluginOptions):
        backward: str = Field(
            "float8",
            pattern="^(float8|dequantized)$",
            description="float8: a second, transposed copy for the backward pass; dequantized: "
            "none, and that product in 16 bits",
        )
        skip: list[str] = Field(
            default_factory=list, description="endings of names of layers that stay as they are"
        )

    samples = ({}, {"backward": "dequantized"})
    # a small random model magnifies each rounding: a trained one moves far less
    drift = 0.25

    def bits_per_weight(self) -> float:
        # and a float32 scale for each row of some hundreds of weights; the transposed copy comes
        # on top of it where the device multiplies float8
        return 8.1

    @hookimpl
    def ft_prepare_model(self, run: Run, model: nn.Module) -> None:
        from ft_quantizer_fp8.linear import quantize_layers

        model.requires_grad_(False)
        quantize_layers(model, self.options.skip, transposed=self.options.backward == "float8")

    @hookimpl
    def ft_estimate(self, estimate: Estimate) -> None:
        device = estimate.device
        if not device.float8_rate:
            return
        if self.options.backward == "float8":
            estimate.extra_bits = self.bits_per_weight()
            estimate.frozen_rate = device.float8_rate
        else:  # forward at one rate, backward at the other
            estimate.frozen_rate = 2 / (1 / device.float8_rate + 1 / device.rate)


quantizer = Float8()
