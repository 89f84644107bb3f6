"""A linear layer with 8-bit weights."""

from __future__ import annotations

from typing import cast

from torch import Tensor, int8, nn


class Int8Linear(nn.Linear):
    """``weight`` (out, in) in int8 and ``scale`` (out, 1): the row's largest value over 127.

    A linear layer to whoever looks for one, as those of quantization libraries are.
    """

    scale: Tensor

    def __init__(self, linear: nn.Linear):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        scale = (weight.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
        rounded = (weight / scale).round().clamp(-127, 127).to(int8)
        self.weight = nn.Parameter(rounded, requires_grad=False)
        self.register_buffer("scale", scale)
        self.bias = cast(nn.Parameter, linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype), self.bias)
