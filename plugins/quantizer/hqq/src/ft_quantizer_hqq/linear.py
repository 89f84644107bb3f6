"""The solver of HQQ, and a linear layer that holds what it found."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ft.api import InputError
from ft.api.packed import PackedLinear

NORM, BETA, GROWTH = 0.7, 10.0, 1.01
"""p of the norm, and the weight of the splitting's penalty: at first, and its factor each step."""


class HqqLinear(PackedLinear):
    """W = (q - zero) * scale for groups of ``group_size`` inputs.

    ``packed`` holds q: int32 words of 32 // bits values; ``scales`` and ``zeros`` (out, groups)
    are in 16 bits.
    """

    main = "packed"
    scales: Tensor
    zeros: Tensor

    def __init__(self, linear: nn.Linear, bits: int, group_size: int, steps: int):
        weight = linear.weight.detach()
        # in 32 bits already: the solver must see what the layer will compute with
        values, zeros, scales = solve(weight.float().unflatten(1, (-1, group_size)), bits, steps)
        stored = {"packed": pack(values.flatten(1), bits), "scales": scales, "zeros": zeros}
        if linear.bias is not None:
            stored["bias"] = linear.bias.detach()
        super().__init__(linear, stored)
        self.bits, self.group_size = bits, group_size
        self.settle()

    def operands(self) -> tuple[Any, ...]:
        stored = (self.weight, self.scales, self.zeros)
        return (*(t.detach() for t in stored), self.bits, self.group_size)

    @classmethod
    def unpacked(
        cls,
        kind: torch.dtype,
        packed: Tensor,
        scales: Tensor,
        zeros: Tensor,
        bits: int,
        group_size: int,
    ) -> Tensor:
        values = unpack(packed, bits, scales.shape[1] * group_size)
        wide = torch.promote_types(scales.dtype, kind)
        grouped = values.unflatten(1, (-1, group_size)).to(wide)
        return grouped.sub_(zeros[..., None]).mul_(scales[..., None]).flatten(1).to(kind)


def solve(weight: Tensor, bits: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values, zero points and scales of groups of weights (out, groups, size) in float32.

    Minimizes |W - (Q - z) s|_p over z by half-quadratic splitting: the error E that outliers may
    keep is a generalized soft threshold of what rounding leaves, and z the mean of Q - (W - E)/s.
    Scales and zero points are in float16 and rounded so before the values are.
    """
    most = 2**bits - 1
    low, high = weight.amin(-1, keepdim=True), weight.amax(-1, keepdim=True)
    scale = ((high - low) / most).clamp(min=1e-6).half().float()
    zero = -low / scale
    beta, best = BETA, float("inf")
    kept = zero = zero.half().float()
    for _ in range(steps):
        values = (weight / scale + zero).round().clamp(0, most)
        left = weight - (values - zero) * scale
        error = left.abs().mean().item()
        if error >= best:
            break
        best, kept = error, zero
        outliers = left.sign() * (left.abs() - left.abs().pow(NORM - 1) / beta).clamp(min=0)
        zero = (values - (weight - outliers) / scale).mean(-1, keepdim=True).half().float()
        beta *= GROWTH
    values = (weight / scale + kept).round().clamp(0, most).to(torch.uint8)
    return values, kept.squeeze(-1).half(), scale.squeeze(-1).half()


def pack(values: Tensor, bits: int) -> Tensor:
    """Values (out, in) in int32 words, 32 // bits in each, lowest bits first."""
    each = 32 // bits
    padded = nn.functional.pad(values.to(torch.int64), (0, -values.shape[1] % each))
    shifts = torch.arange(each, device=values.device) * bits
    words = (padded.unflatten(1, (-1, each)) << shifts).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def unpack(words: Tensor, bits: int, width: int) -> Tensor:
    """The values (out, width) again, in uint8."""
    shifts = torch.arange(32 // bits, device=words.device, dtype=torch.int32) * bits
    return ((words[..., None] >> shifts) & (2**bits - 1)).to(torch.uint8).flatten(1)[:, :width]


def quantize_layers(model: nn.Module, options: Any) -> None:
    """Put quantized layers in the place of all linear layers but the output layer."""
    find = getattr(model, "get_output_embeddings", None)
    head = find() if find else None
    # names, because a list of layers would keep each of them until the last is quantized
    names = [
        name
        for name, layer in model.named_modules()
        if type(layer) is nn.Linear
        and layer is not head
        and not any(f".{name}".endswith(f".{ending}") for ending in options.skip)
    ]
    for name in names:
        layer: Any = model.get_submodule(name)
        if layer.in_features % options.group_size:
            raise InputError(
                f"quantizer.group_size {options.group_size} does not divide the "
                f"{layer.in_features} inputs of {name}",
                hint=f"choose a divisor, or leave such layers out: skip: "
                f"[{name.rpartition('.')[2]}]",
            )
        made = HqqLinear(layer, options.bits, options.group_size, options.steps)
        model.set_submodule(name, made)
