"""AQLM checkpoints (Egiazarian et al., 2024, arXiv:2401.06118) as the base of an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ft.api import Prequantized

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft_quantizer_aqlm.linear import CodebookLinear


class Aqlm(Prequantized):
    """Loads a checkpoint that AQLM quantized, mostly to about 2 bits.

    Each group of weights is the sum of one vector from each of a few codebooks that a layer has.
    The codes stay as they are, and each product looks the vectors of its layer up; that takes
    torch and nothing else, on any device. Adapters train on top, for those who want the largest
    model that fits, and ``ft export`` merges them into the dequantized weights.
    """

    paper = "arXiv:2401.06118"

    marker = ("codes",)
    required = ("codes", "codebooks", "scales")
    drift = 1.2  # no rounding of random weights to two bits keeps more

    weights = 0
    """Weights of the layers that were read, and the bits that stand for them."""
    bits = 0

    def bits_per_weight(self) -> float:
        if self.weights:  # codebooks are a larger share of a smaller layer
            return self.bits / self.weights
        scheme = self.scheme or {}
        codes = scheme.get("num_codebooks", 1) * scheme.get("nbits_per_codebook", 16)
        return codes / (scheme.get("in_group_size", 8) * scheme.get("out_group_size", 1)) + 0.1

    def layer(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]) -> CodebookLinear:
        from ft_quantizer_aqlm.linear import CodebookLinear

        made = CodebookLinear(name, linear, stored)
        self.weights += made.in_features * made.out_features
        self.bits += sum(8 * t.numel() * t.element_size() for t in stored.values())
        return made

    def encode(self, weight: Tensor) -> Mapping[str, Tensor]:
        from ft_quantizer_aqlm.linear import encoded

        return encoded(weight)

    def described(self) -> Mapping[str, Any]:
        return {
            "quant_method": "aqlm",
            "in_group_size": 4,
            "out_group_size": 1,
            "num_codebooks": 2,
            "nbits_per_codebook": 6,
            "linear_weights_not_to_quantize": ["lm_head.weight"],
        }


quantizer = Aqlm()
