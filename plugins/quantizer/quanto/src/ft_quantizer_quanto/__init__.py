"""Quanto: int8 or float8 weights, quantized on load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ft.api import Field, PluginOptions, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn


class Quanto(Quantizer):
    """Quantizes the linear layers of the base on load with the library optimum-quanto.

    Each output has a scale of its own. It works on any device that torch has, Apple's among them.
    The library has had no release since March 2025; on a CPU or an NVIDIA GPU, ``torchao`` and
    ``bitsandbytes`` do the same and are kept up. (Its four and two bits compile an extension at
    their first use and are left out; quantizer ``hqq`` has those.) Adapters train on top.
    """

    class Options(PluginOptions):
        type: Literal["int8", "fp8"] = Field("int8", description="how a weight is stored")
        skip: list[str] = Field(
            default_factory=list, description="modules that keep their precision beside lm_head"
        )

    samples = ({}, {"type": "fp8"})

    @property
    def drift(self) -> float:
        # a small random model magnifies each rounding: a trained one moves far less
        return 0.1 if self.options.type == "int8" else 0.25

    def bits_per_weight(self) -> float:
        return 8.1  # a scale in the type of the weights for each output

    @hookimpl
    def ft_prepare_model(self, run: Run, model: Any) -> None:
        from optimum import quanto

        model.requires_grad_(False)
        head = model.get_output_embeddings()
        heads = [name for name, layer in model.named_modules() if layer is head]
        kind = quanto.qint8 if self.options.type == "int8" else quanto.qfloat8
        skipped = [pattern for name in self.options.skip for pattern in (name, f"*.{name}")]
        chosen = [
            name for name, layer in model.named_modules() if _is_linear(layer) and name not in heads
        ]
        quanto.quantize(model, weights=kind, include=chosen, exclude=skipped or None)
        quanto.freeze(model)
        model.requires_grad_(False)
        for layer in model.modules():
            if isinstance(layer, quanto.nn.QLinear):
                layer.register_forward_hook(_whole)


def _whole(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """An output that may be added to in place, as some adapters do.

    The library gives a view out of an autograd function of its own, which torch forbids that for.
    """
    return output.clone() if output._is_view() else output


def _is_linear(layer: nn.Module) -> bool:
    from torch import nn

    return type(layer) is nn.Linear


quantizer = Quanto()
