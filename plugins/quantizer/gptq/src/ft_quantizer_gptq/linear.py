"""The file format of GPTQ, and a linear layer that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api import InputError
from ft.api.packed import PackedLinear, nibbles, words


class GptqLinear(PackedLinear):
    """W[o, i] = scales[g, o] (q[i, o] - zero[g, o]), where g is the group of input i.

    ``qweight`` int32 (in x bits/32, out): along the inputs, lowest bits first.
    ``qzeros`` int32 (groups, out x bits/32): zero points along the outputs, each less ``offset``.
    ``scales`` (groups, out) in 16 bits. ``g_idx`` int32 (in): the group of each input; without it
    groups are runs of inputs.
    """

    main = "qweight"
    qweight: Tensor
    qzeros: Tensor
    scales: Tensor
    g_idx: Tensor | None

    def __init__(
        self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor], bits: int, offset: int
    ):
        super().__init__(linear, stored)
        self.bits, self.offset = bits, offset
        shape = (self.in_features * bits // 32, self.out_features)
        if self.qweight.shape != shape or self.qweight.dtype != torch.int32:
            raise InputError(
                f"{name}.qweight is {self.qweight.dtype} of {tuple(self.qweight.shape)}, and "
                f"{bits} bits for each weight take int32 of {shape}",
                hint="use the config.json that was saved with these weights",
            )
        if "g_idx" not in stored:
            self.register_parameter("g_idx", None)

    def settle(self) -> None:
        super().settle()
        if self.g_idx is None:
            return
        groups, rest = len(self.scales), self.in_features % len(self.scales)
        runs = torch.arange(self.in_features, device=self.g_idx.device)
        runs = runs // (self.in_features // groups)
        if not rest and torch.equal(self.g_idx, runs.to(self.g_idx.dtype)):
            self.g_idx = None

    def operands(self) -> tuple[Any, ...]:
        stored = (self.weight, self.qzeros, self.scales)
        return (*(tensor.detach() for tensor in stored), self.g_idx, self.bits, self.offset)

    @classmethod
    def unpacked(
        cls,
        kind: torch.dtype,
        qweight: Tensor,
        qzeros: Tensor,
        scales: Tensor,
        g_idx: Tensor | None,
        bits: int,
        offset: int,
    ) -> Tensor:
        groups, out = scales.shape
        values = nibbles(qweight, bits).transpose(1, 2)  # (words, values of a word, out)
        zeros = nibbles(qzeros, bits).reshape(groups, -1)[:, :out]
        zeros = ((zeros + offset) & (2**bits - 1)).to(torch.int16)
        wide = torch.promote_types(scales.dtype, kind)
        if g_idx is None:
            apart = values.reshape(groups, -1, out).to(torch.int16) - zeros[:, None]
            weight = apart.to(wide) * scales[:, None].to(wide)
        else:
            index = g_idx.long()
            apart = values.reshape(-1, out).to(torch.int16) - zeros[index]
            weight = apart.to(wide) * scales[index].to(wide)
        return weight.reshape(-1, out).t().to(kind)


def rounded(
    weight: Tensor, bits: int, group_size: int, *, symmetric: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """``weight`` (out, in) rounded to the nearest: values (out, in), zero points and scales
    (out, groups)."""
    out = weight.shape[0]
    grouped = weight.detach().float().reshape(out, -1, group_size)
    scales, zeros = grid(grouped, bits, symmetric=symmetric)
    values = (grouped / scales[..., None]).round() + zeros[..., None]
    return values.clamp(0, 2**bits - 1).to(torch.uint8).reshape(out, -1), zeros, scales


def grid(grouped: Tensor, bits: int, *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scales, as 16 bits hold them, and zero points of groups of weights (…, group)."""
    most = 2**bits - 1
    low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
    if symmetric:
        high = torch.maximum(-low, high)
        low = -high
    scales = ((high - low) / most).half().float()
    scales = scales.clamp(min=torch.finfo(torch.float16).tiny)
    if symmetric:
        return scales, torch.full_like(scales, (most + 1) // 2)
    # not 0, which the older file format has no place for
    return scales, (-low / scales).round().clamp(1, most)


def pack(
    values: Tensor,
    zeros: Tensor,
    scales: Tensor,
    *,
    bits: int,
    group_size: int,
    groups: Tensor | None = None,
) -> dict[str, Tensor]:
    """The tensors of a layer in the file format ``gptq``, of what :func:`rounded` gives.

    ``groups`` (in) is the group of each input where they are not runs of ``group_size``.
    """
    out, width = values.shape
    if groups is None:
        groups = torch.arange(width) // group_size
    each = 32 // bits
    stored = values.t().reshape(width // each, each, out).transpose(1, 2)
    less = (zeros.t() - 1).to(torch.uint8)
    return {
        "qweight": words(stored, bits).contiguous(),
        "qzeros": words(less.reshape(len(less), out // each, each), bits).contiguous(),
        "scales": scales.t().half().contiguous(),
        "g_idx": groups.to(torch.int32),
    }
