"""HQQ: half-quadratic quantization (Badri and Shaji, 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ft.api import Field, PluginOptions, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn

DRIFT = {8: 0.05, 4: 0.6, 3: 1.0, 2: 1.5}


class Hqq(Quantizer):
    """Quantizes the linear layers of the base on load, without any data.

    Each group of weights is rounded to the nearest with a scale of its own, and its zero point is
    then moved so that the error is small in a norm that lets outliers be (an l_p norm with p below
    1), by half-quadratic splitting. The method is published at
    https://mobiusml.github.io/hqq_blog and takes seconds for a layer; nothing but torch is needed,
    on any device. For those who want 2 or 3 bits, or a choice of the group, where bitsandbytes has
    4 bits with a fixed code. Adapters train on top.
    """

    class Options(PluginOptions):
        bits: Literal[2, 3, 4, 8] = Field(4, description="bits of a weight")
        group_size: int = Field(
            64, gt=0, description="inputs that share a scale; must divide those of a layer"
        )
        steps: int = Field(
            20, ge=0, description="steps of the solver at most; 0: round to the nearest"
        )
        skip: list[str] = Field(
            default_factory=list, description="endings of names of layers that stay as they are"
        )

    samples = ({}, {"bits": 3, "group_size": 32})

    @property
    def drift(self) -> float:
        # a small random model magnifies each rounding: a trained one moves far less
        return DRIFT[self.options.bits]

    def bits_per_weight(self) -> float:
        # three bits take the place of four at the end of a word: ten in each of 32 bits
        own = 3.2 if self.options.bits == 3 else self.options.bits
        return own + 32 / self.options.group_size

    @hookimpl
    def ft_prepare_model(self, run: Run, model: nn.Module) -> None:
        from ft_quantizer_hqq.linear import quantize_layers

        model.requires_grad_(False)
        quantize_layers(model, self.options)


quantizer = Hqq()
