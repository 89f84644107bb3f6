"""MXFP4 checkpoints (OCP Microscaling formats; Rouhani et al., 2023, arXiv:2310.10537)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import InputError, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class Mxfp4(Quantizer):
    """Loads a checkpoint whose experts are in 4-bit floats, such as gpt-oss, as plain weights.

    The kernels that compute with MXFP4 have no backward pass, so the experts are dequantized on
    load: the model takes the memory of 16 bits for each weight, and trains as any other, in full
    too. What is saved is plain. To train an adapter in less memory, take a checkpoint that was
    quantized another way, or have a quantizer round a plain one on load.
    """

    paper = "arXiv:2310.10537"

    provides = frozenset()
    # nothing is rounded: the weights are those of the checkpoint
    drift = 0.0

    @hookimpl
    def ft_quantization_config(self, run: Run, config: PretrainedConfig) -> Any:
        from transformers.utils.quantization_config import Mxfp4Config

        if getattr(config, "quantization_config", None) is None:
            raise InputError(
                f"quantizer {self.name} reads weights that are quantized already, and those of "
                "this checkpoint are not",
                where=str(run.model_folder),
                hint="leave quantizer out",
            )
        return Mxfp4Config(dequantize=True)

    @hookimpl
    def ft_prepare_model(self, model: nn.Module) -> None:
        # by which transformers would save the weights under the names that they had in MXFP4
        vars(model).pop("_weight_conversions", None)

    @hookimpl
    def ft_dequantize_model(self, model: nn.Module) -> bool:
        self.ft_prepare_model(model)
        return True


quantizer = Mxfp4()
