"""EETQ: int8 weights for NVIDIA GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Field, InputError, PluginOptions, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class Eetq(Quantizer):
    """Int8 weights with one scale for each output, quantized on load or by the checkpoint.

    The kernel multiplies 16-bit activations with int8 weights on NVIDIA GPUs, and comes with the
    package ``kernels`` from the hub; the layout of the weights is the kernel's own, so that
    checkpoints load nowhere else. For those who have such checkpoints: quantizer ``bitsandbytes``
    or ``torchao`` (int8) does the same on any device.
    """

    class Options(PluginOptions):
        skip: list[str] = Field(
            default_factory=list, description="modules that keep their precision beside lm_head"
        )

    def bits_per_weight(self) -> float:
        return 8.05  # a float16 scale for each output of some hundreds of inputs

    @hookimpl
    def ft_quantization_config(self, run: Run, config: PretrainedConfig) -> Any:
        from importlib.util import find_spec

        from transformers import EetqConfig

        if run.device.type != "cuda":
            raise InputError(
                f"quantizer {self.name} computes on NVIDIA GPUs alone, and this run is on "
                f"{run.device.type}",
                hint="quantizer: bitsandbytes and quantizer: torchao have int8 for any device",
            )
        if find_spec("kernels") is None:
            raise InputError(
                f"quantizer {self.name} takes its kernel from the package kernels, which is not "
                "installed",
                hint="pip install kernels",
            )
        if getattr(config, "quantization_config", None) is not None:
            return None  # by what the checkpoint says
        skip = [*self.options.skip, "lm_head"] if self.options.skip else None
        return EetqConfig(weights="int8", modules_to_not_convert=skip)

    @hookimpl
    def ft_prepare_model(self, model: nn.Module) -> None:
        model.requires_grad_(False)


quantizer = Eetq()
