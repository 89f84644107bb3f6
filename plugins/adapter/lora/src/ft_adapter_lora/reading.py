"""The weight of a linear layer by what the layer computes, in whatever form it holds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1024
"""Inputs of a layer that are read at once."""


def product(layer: Any, x: Tensor) -> Tensor:
    """X W^T (rows, out) in float32, without the bias."""
    import torch

    kind = layer.weight.dtype
    plain = kind in (torch.float32, torch.float16, torch.bfloat16)
    # in evaluation some layers rearrange their weight for good
    was = layer.training
    layer.train()
    try:
        out = layer(x.to(kind) if plain else x).float()
    finally:
        layer.train(was)
    return out if layer.bias is None else out - layer.bias.float()


def columns(layer: Any) -> Iterator[Tensor]:
    """The weight (out, in) transposed, some rows at a time, in float32."""
    import torch

    weight = layer.weight
    inputs = getattr(layer, "in_features", weight.shape[0])
    for start in range(0, inputs, CHUNK):
        chosen = torch.arange(start, min(start + CHUNK, inputs), device=weight.device)
        yield product(layer, torch.nn.functional.one_hot(chosen, inputs).float())
