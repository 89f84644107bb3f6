"""GPTQ checkpoints (Frantar et al., 2022, arXiv:2210.17323) as the base of an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Prequantized

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft_quantizer_gptq.linear import GptqLinear

BITS = (2, 4, 8)
FORMATS = ("gptq", "gptq_v2")


@dataclass(frozen=True, slots=True)
class Scheme:
    """What ``config.json`` says: bits of a weight, inputs that share a scale (-1: all), and what
    the file's zero points are short of."""

    bits: int
    group_size: int
    offset: int


class Gptq(Prequantized):
    """Loads a checkpoint that GPTQ quantized, as GPTQModel, AutoGPTQ and optimum write it.

    The weights stay in the file's own integers, and each product unpacks those of its layer; that
    takes torch and nothing else, on any device. Reads 2, 4 and 8 bits with groups of any size,
    symmetric or not, with or without activation order (``desc_act``), in the file formats ``gptq``
    and ``gptq_v2``. For those who have little memory, or only the quantized checkpoint: adapters
    train on top, and ``ft export`` merges them into the dequantized weights.
    """

    paper = "arXiv:2210.17323"

    marker = ("qweight",)
    required = ("qweight", "qzeros", "scales")
    scheme: Scheme | None = None
    # rounding to the nearest moves a small random model far more than GPTQ moves a trained one
    drift = 0.75

    def bits_per_weight(self) -> float:
        scheme = self.scheme or Scheme(4, 128, 1)
        size = scheme.group_size if scheme.group_size > 0 else 1024
        return scheme.bits + (16 + scheme.bits) / size

    def read(self, found: Mapping[str, Any]) -> Scheme:
        bits = found.get("bits")
        stored = found.get("checkpoint_format") or found.get("format") or "gptq"
        if bits not in BITS:
            raise InputError(
                f"the checkpoint has GPTQ weights of {bits} bits, and quantizer {self.name} reads "
                "2, 4 and 8"
            )
        if stored not in FORMATS:
            raise InputError(
                f"the checkpoint has GPTQ weights in the file format {stored}, which is laid out "
                "for one kernel",
                hint="take the checkpoint in the format gptq or gptq_v2",
            )
        # the older format stores each zero point less one
        return Scheme(bits, int(found.get("group_size", -1)), 1 if stored == "gptq" else 0)

    def layer(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]) -> GptqLinear:
        from ft_quantizer_gptq.linear import GptqLinear

        assert self.scheme is not None
        return GptqLinear(name, linear, stored, self.scheme.bits, self.scheme.offset)

    def encode(self, weight: Tensor) -> Mapping[str, Tensor]:
        from ft_quantizer_gptq.linear import pack, rounded

        return pack(*rounded(weight, 4, 64), bits=4, group_size=64)

    def described(self) -> Mapping[str, Any]:
        return {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": 64,
            "desc_act": False,
            "sym": False,
            "checkpoint_format": "gptq",
        }


quantizer = Gptq()
