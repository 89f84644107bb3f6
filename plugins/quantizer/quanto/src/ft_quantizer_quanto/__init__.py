"""Quanto: integer or float8 weights, quantized on load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ft.api import Field, PluginOptions, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn

DRIFT = {"int8": 0.1, "fp8": 0.25, "int4": 0.75, "int2": 1.5}


class Quanto(Quantizer):
    """Quantizes the linear layers of the base on load with the library optimum-quanto.

    Eight bits have a scale for each output, four and two bits one for each 128 inputs. It works
    on any device that torch has, Apple's among them. The library has had no release since March
    2025; on a CPU or an NVIDIA GPU, ``torchao``, ``hqq`` and ``bitsandbytes`` do the same and are
    kept up. Adapters train on top.
    """

    class Options(PluginOptions):
        type: Literal["int8", "int4", "int2", "fp8"] = Field(
            "int8", description="how a weight is stored"
        )
        skip: list[str] = Field(
            default_factory=list, description="modules that keep their precision beside lm_head"
        )

    samples = ({}, {"type": "int4"})

    @property
    def drift(self) -> float:  # type: ignore[override]
        # a small random model magnifies each rounding: a trained one moves far less
        return DRIFT[self.options.type]

    def bits_per_weight(self) -> float:
        # scales, and zero points of few bits, are in the type of the weights: 32 bits at most
        return {"int8": 8.1, "fp8": 8.1, "int4": 4.5, "int2": 2.5}[self.options.type]

    @hookimpl
    def ft_prepare_model(self, run: Run, model: Any) -> None:
        from optimum import quanto

        model.requires_grad_(False)
        head = model.get_output_embeddings()
        heads = [name for name, layer in model.named_modules() if layer is head]
        kinds = {
            "int8": quanto.qint8,
            "int4": quanto.qint4,
            "int2": quanto.qint2,
            "fp8": quanto.qfloat8,
        }
        skipped = [pattern for name in self.options.skip for pattern in (name, f"*.{name}")]
        chosen = [
            name for name, layer in model.named_modules() if _is_linear(layer) and name not in heads
        ]
        quanto.quantize(
            model, weights=kinds[self.options.type], include=chosen or None, exclude=skipped or None
        )
        quanto.freeze(model)
        model.requires_grad_(False)


def _is_linear(layer: nn.Module) -> bool:
    from torch import nn

    return type(layer) is nn.Linear


quantizer = Quanto()
