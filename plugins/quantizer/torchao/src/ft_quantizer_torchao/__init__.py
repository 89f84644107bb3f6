"""torchao: weights in 8 or 4 bits, quantized on load or while they train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from ft.api import Capabilities, Estimate, Field, PluginOptions, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class TorchAo(Quantizer):
    """Stores the linear layers of the base in torchao's types, or trains through their rounding.

    Quantized on load, adapters train on top, as with any quantizer; checkpoints that torchao
    quantized load as they are. With ``aware`` every weight trains while the model computes with
    rounded ones (quantization-aware training; Jacob et al., 2017, arXiv:1712.05877, gradients pass
    the rounding unchanged), and the result is saved in the quantized form: for those who will
    serve in few bits and want to lose little by it. What is saved loads in transformers and vLLM.
    """

    paper = "arXiv:1712.05877"

    class Options(PluginOptions):
        type: Literal["int8", "int4", "fp8", "int8-int4"] = Field(
            "int8",
            description="how weights are stored: int8-int4 is int4 whose products round "
            "activations to int8, for phones",
        )
        group_size: int = Field(32, gt=0, description="inputs that share a scale, of int4")
        aware: bool = Field(
            False, description="train in full through the rounding, and save what is rounded"
        )

        @model_validator(mode="after")
        def _can_be_aware(self) -> Self:
            if self.aware and self.type == "fp8":
                raise ValueError(
                    "torchao has no quantization-aware training to fp8; int4, int8 and int8-int4 "
                    "have one"
                )
            if not self.aware and self.type == "int8-int4":
                raise ValueError(
                    "int8-int4 rounds activations, which no gradient passes; it goes with aware: "
                    "true"
                )
            return self

    samples = ({"type": "int4"}, {"type": "int4", "aware": True})

    @property
    def drift(self) -> float:
        # a small random model magnifies each rounding: a trained one moves far less
        return {"int8": 0.1, "fp8": 0.25}.get(self.options.type, 0.75)

    def bits_per_weight(self) -> float:
        # int4 lies in bytes until a device packs it; scales are float32 and, of int4, zero points
        # are bytes
        return 8.2 if self.options.type != "int4" else 8 + 40 / self.options.group_size

    def capabilities(self) -> Capabilities:
        if not self.options.aware:
            return super().capabilities()
        return Capabilities(
            accepts=frozenset(self.accepts),
            provides=frozenset({"quantization-aware"}),
            conflicts=frozenset({"frozen-base"}),
        )

    @hookimpl
    def ft_quantization_config(self, config: PretrainedConfig) -> Any:
        from transformers import TorchAoConfig

        if self.options.aware or getattr(config, "quantization_config", None) is not None:
            return None  # not yet, or by what the checkpoint says
        return TorchAoConfig(self._stored())

    @hookimpl
    def ft_prepare_model(self, model: Any) -> None:
        from torchao.quantization import quantize_
        from torchao.quantization.qat import QATConfig

        if not self.options.aware:
            model.requires_grad_(False)
        elif not is_quantized(model):  # a result is: it is only looked at
            chosen = set(linear_layers(model))
            quantize_(
                model, QATConfig(self._stored(), step="prepare"), lambda _, name: name in chosen
            )

    @hookimpl
    def ft_estimate(self, estimate: Estimate) -> None:
        if self.options.aware:  # the rounded weights are made anew in each pass, and kept for it
            self.ft_prepare_model(estimate.model)

    @hookimpl
    def ft_finish_model(self, model: nn.Module) -> None:
        from torchao.quantization import quantize_
        from torchao.quantization.qat import QATConfig

        if self.options.aware:
            quantize_(model, QATConfig(self._stored(), step="convert"))

    @hookimpl
    def ft_save_model(self, run: Run, model: Any, folder: Path) -> bool | None:
        if not self.options.aware:
            return None
        from transformers import TorchAoConfig
        from transformers.quantizers.auto import AutoHfQuantizer

        if run.process.is_main:
            config = TorchAoConfig(self._stored())
            model.config.quantization_config = config
            # by which the parts of a quantized weight are saved apart
            model.hf_quantizer = AutoHfQuantizer.from_config(config, pre_quantized=True)
            model.save_pretrained(folder)
        return True

    def _stored(self) -> Any:
        """The library's own configuration of how weights are stored."""
        import torch
        from torchao.quantization import (
            Float8WeightOnlyConfig,
            Int8DynamicActivationIntxWeightConfig,
            Int8WeightOnlyConfig,
            IntxWeightOnlyConfig,
            PerAxis,
            PerGroup,
        )

        four: Any = torch.int4  # type: ignore[attr-defined]
        groups = PerGroup(self.options.group_size)
        match self.options.type:
            case "fp8":
                return Float8WeightOnlyConfig()
            case "int4":
                return IntxWeightOnlyConfig(weight_dtype=four, granularity=groups)
            case "int8-int4":
                return Int8DynamicActivationIntxWeightConfig(
                    weight_dtype=four, weight_granularity=groups
                )
        if self.options.aware:
            return IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0))
        return Int8WeightOnlyConfig(version=2)


def linear_layers(model: Any) -> list[str]:
    """The names of all linear layers but the output layer."""
    from torch import nn

    head = model.get_output_embeddings()
    return [
        name
        for name, layer in model.named_modules()
        if type(layer) is nn.Linear and layer is not head
    ]


def is_quantized(model: nn.Module) -> bool:
    """Whether a weight of the model is of a type of torchao's."""
    from torchao.utils import TorchAOBaseTensor

    return any(isinstance(parameter, TorchAOBaseTensor) for parameter in model.parameters())


quantizer = TorchAo()
