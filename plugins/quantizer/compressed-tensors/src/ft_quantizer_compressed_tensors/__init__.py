"""Checkpoints in the format compressed-tensors, as LLM Compressor writes them, as a base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Prequantized

if TYPE_CHECKING:
    from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme
    from torch import Tensor, nn

    from ft_quantizer_compressed_tensors.linear import CompressedLinear


class CompressedTensors(Prequantized):
    """Loads a checkpoint that LLM Compressor wrote, such as W4A16, W8A16, W8A8, FP8 or NVFP4.

    The library that defines the format decompresses a layer's weight for each product, so that
    the weights keep the file's size while adapters train on top; loaded by transformers they
    would be decompressed for good at the first step. Activations are not rounded. ``ft export``
    merges an adapter into the decompressed weights.
    """

    marker = ("weight_packed", "weight_scale")
    required = ("weight_scale",)
    scheme: QuantizationConfig | None = None
    # rounding to the nearest moves a small random model far more than a calibrated method
    drift = 0.75

    def bits_per_weight(self) -> float:
        groups = self.scheme.config_groups.values() if self.scheme else ()
        weights = next((group.weights for group in groups if group.weights), None)
        if weights is None:
            return 4 + 16 / 128
        return weights.num_bits + 16 / (weights.group_size or 1024)

    def read(self, found: Mapping[str, Any]) -> QuantizationConfig:
        from compressed_tensors.quantization import QuantizationConfig
        from pydantic import ValidationError

        if found.get("quantization_status") not in (None, "compressed"):
            raise InputError(
                "the checkpoint says that it is quantized, and its weights are not compressed "
                f"(quantization_status {found['quantization_status']})",
                hint="save it compressed: save_pretrained(..., save_compressed=True)",
            )
        try:
            return QuantizationConfig.model_validate(dict(found))
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise InputError(
                f"quantization_config.{where} of the checkpoint is nothing that this version of "
                f"compressed-tensors knows: {error.errors()[0]['msg']}",
                hint="a newer one may: pip install --upgrade compressed-tensors",
            ) from error

    def layer(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]) -> CompressedLinear:
        from ft_quantizer_compressed_tensors.linear import CompressedLinear

        assert self.scheme is not None
        group = self._group_of(name, linear)
        form = group.format or self.scheme.format
        return CompressedLinear(name, linear, stored, group, str(getattr(form, "value", form)))

    def _group_of(self, name: str, linear: nn.Linear) -> QuantizationScheme:
        """Of the groups of layers that the checkpoint has, the one that this layer is in."""
        from compressed_tensors.utils.match import is_match

        assert self.scheme is not None
        for group in self.scheme.config_groups.values():
            if any(is_match(name, linear, target) for target in group.targets):
                return group
        raise InputError(
            f"the checkpoint has quantized weights for {name}, and no group of its "
            "quantization_config names that layer",
            hint="use the config.json that was saved with these weights",
        )

    def encode(self, weight: Tensor) -> Mapping[str, Tensor]:
        from ft_quantizer_compressed_tensors.linear import encoded

        return encoded(weight, self.described())

    def described(self) -> Mapping[str, Any]:
        weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group"}
        return {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "quantization_status": "compressed",
            "ignore": ["lm_head"],
            "config_groups": {
                "group_0": {"targets": ["Linear"], "weights": {**weights, "group_size": 64}}
            },
        }


quantizer = CompressedTensors()
