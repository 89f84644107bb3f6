"""Checkpoints in 8-bit floats with a scale for each block of a weight, as a base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Prequantized

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft_quantizer_fine_grained_fp8.linear import BlockLinear

WHOLE = (0, 0)
"""The block of a weight that has one scale."""


class FineGrainedFp8(Prequantized):
    """Loads a checkpoint whose weights are float8 (e4m3) with a scale for each block.

    That is the form in which DeepSeek-V3 (DeepSeek-AI, 2024, arXiv:2412.19437) was published, and
    the FP8 variants of many models since: blocks of 128 x 128, or of 1 x 32 with scales that are
    powers of two (``mxfp8``, Rouhani et al., 2023, arXiv:2310.10537). The weights stay as they
    are, and each product dequantizes those of its layer, on any device; activations are not
    rounded. Adapters train on top, and ``ft export`` merges them into the dequantized weights. To
    round a plain checkpoint to float8 on load, there is the quantizer ``fp8``.
    """

    paper = "arXiv:2412.19437"

    marker = ("weight_scale_inv",)
    required = ("weight", "weight_scale_inv")
    scheme: tuple[int, int] | None = None
    """Outputs and inputs that share a scale."""
    # a small random model magnifies each rounding: a trained one moves far less
    drift = 0.25

    def bits_per_weight(self) -> float:
        rows, columns = self.scheme or WHOLE
        wide = 8 if rows == 1 else 32  # one row: the shared exponents of mxfp8
        return 8 + (wide / (rows * columns) if rows else 0)

    def read(self, found: Mapping[str, Any]) -> tuple[int, int]:
        if (kind := found.get("fmt", "e4m3")) not in ("e4m3", "float8_e4m3fn"):
            raise InputError(
                f"the checkpoint has 8-bit floats of the kind {kind}, and quantizer {self.name} "
                "reads e4m3"
            )
        rows, columns = found.get("weight_block_size") or WHOLE
        return int(rows), int(columns)

    def layer(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]) -> BlockLinear:
        from ft_quantizer_fine_grained_fp8.linear import BlockLinear

        return BlockLinear(name, linear, stored, self.scheme or WHOLE)

    def encode(self, weight: Tensor) -> Mapping[str, Tensor]:
        from ft_quantizer_fine_grained_fp8.linear import encoded

        return encoded(weight, (32, 32))

    def described(self) -> Mapping[str, Any]:
        return {
            "quant_method": "fp8",
            "fmt": "e4m3",
            "activation_scheme": "dynamic",
            "weight_block_size": [32, 32],
        }


quantizer = FineGrainedFp8()
