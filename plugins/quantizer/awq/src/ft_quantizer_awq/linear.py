"""The file format of AWQ, and a linear layer that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api import InputError
from ft.api.packed import PackedLinear, nibbles, words

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight outputs each place of a word holds, from its lowest bits on."""


class AwqLinear(PackedLinear):
    """W[o, i] = scales[g, o] (q[i, o] - zero[g, o]), where g is the group of input i.

    ``qweight`` int32 (in, out/8) and ``qzeros`` int32 (groups, out/8): four bits each along the
    outputs, in the order :data:`ORDER`. ``scales`` (groups, out) in 16 bits. Groups are runs of
    inputs.
    """

    main = "qweight"
    qweight: Tensor
    qzeros: Tensor
    scales: Tensor

    def __init__(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]):
        super().__init__(linear, stored)
        shape = (self.in_features, self.out_features // 8)
        if self.qweight.shape != shape or self.qweight.dtype != torch.int32:
            raise InputError(
                f"{name}.qweight is {self.qweight.dtype} of {tuple(self.qweight.shape)}, and the "
                f"format gemm has int32 of {shape}",
                hint="use the config.json that was saved with these weights",
            )

    def operands(self) -> tuple[Any, ...]:
        return tuple(tensor.detach() for tensor in (self.weight, self.qzeros, self.scales))

    @classmethod
    def unpacked(cls, kind: torch.dtype, qweight: Tensor, qzeros: Tensor, scales: Tensor) -> Tensor:
        groups, out = scales.shape
        places = torch.tensor(ORDER, device=qweight.device).argsort().to(torch.int32) * 4
        values = nibbles(qweight, 4, places).reshape(groups, -1, out).to(torch.int16)
        zeros = nibbles(qzeros, 4, places).reshape(groups, 1, out).to(torch.int16)
        wide = torch.promote_types(scales.dtype, kind)
        weight = (values - zeros).to(wide) * scales[:, None].to(wide)
        return weight.reshape(-1, out).t().to(kind)


def encoded(weight: Tensor, group_size: int) -> dict[str, Tensor]:
    """The tensors of a layer whose ``weight`` (out, in) is rounded to the nearest."""
    out = weight.shape[0]
    grouped = weight.detach().float().t().reshape(-1, group_size, out)
    low, high = grouped.amin(1).clamp(max=0), grouped.amax(1).clamp(min=0)
    scales = ((high - low) / 15).half().float().clamp(min=torch.finfo(torch.float16).tiny)
    zeros = (-low / scales).round().clamp(0, 15)
    values = ((grouped / scales[:, None]).round() + zeros[:, None]).clamp(0, 15)
    return {
        "qweight": _packed(values.reshape(-1, out)),
        "qzeros": _packed(zeros),
        "scales": scales.half(),
    }


def _packed(values: Tensor) -> Tensor:
    rows, out = values.shape
    return words(values.reshape(rows, out // 8, 8)[..., list(ORDER)], 4)
