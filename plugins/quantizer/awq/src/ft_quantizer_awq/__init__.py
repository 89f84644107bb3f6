"""AWQ checkpoints (Lin et al., 2023, arXiv:2306.00978) as the base of an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Prequantized

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft_quantizer_awq.linear import AwqLinear


class Awq(Prequantized):
    """Loads a checkpoint that AWQ quantized to 4 bits, as AutoAWQ and GPTQModel write it.

    The weights stay in the file's own integers, and each product unpacks those of its layer; that
    takes torch and nothing else, on any device. Reads the file format ``gemm``, which nearly all
    published checkpoints have. The scales by which AWQ protects salient weights are part of the
    layers before already. Adapters train on top, and ``ft export`` merges them into the
    dequantized weights.
    """

    paper = "arXiv:2306.00978"

    marker = ("qweight",)
    required = ("qweight", "qzeros", "scales")
    scheme: int | None = None
    """The inputs that share a scale; -1: all of a layer."""
    # rounding to the nearest moves a small random model far more than AWQ moves a trained one
    drift = 0.75

    def bits_per_weight(self) -> float:
        size = self.scheme if self.scheme and self.scheme > 0 else 128
        return 4 + 20 / size

    def read(self, found: Mapping[str, Any]) -> int:
        bits = found.get("bits", found.get("w_bit", 4))
        stored = str(found.get("version") or found.get("format") or "gemm").lower()
        if bits != 4:
            raise InputError(
                f"the checkpoint has AWQ weights of {bits} bits, and quantizer {self.name} reads 4"
            )
        if stored != "gemm":
            raise InputError(
                f"the checkpoint has AWQ weights in the file format {stored}, which is laid out "
                "for one kernel",
                hint="take the checkpoint in the format gemm",
            )
        return int(found.get("group_size", found.get("q_group_size", 128)))

    def layer(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]) -> AwqLinear:
        from ft_quantizer_awq.linear import AwqLinear

        return AwqLinear(name, linear, stored)

    def encode(self, weight: Tensor) -> Mapping[str, Tensor]:
        from ft_quantizer_awq.linear import encoded

        return encoded(weight, 64)

    def described(self) -> Mapping[str, Any]:
        return {
            "quant_method": "awq",
            "bits": 4,
            "group_size": 64,
            "version": "gemm",
            "zero_point": True,
        }


quantizer = Awq()
