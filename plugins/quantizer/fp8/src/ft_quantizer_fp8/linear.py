"""A linear layer with a frozen weight in float8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

KIND = torch.float8_e4m3fn
LARGEST = torch.finfo(KIND).max


def quantize_layers(model: nn.Module, skip: Sequence[str], *, transposed: bool) -> None:
    """Put float8 layers in the place of all linear layers but the output layer."""
    find = getattr(model, "get_output_embeddings", None)
    head = find() if find else None
    # names, because a list of layers would keep each of them until the last is quantized
    names = [
        name
        for name, layer in model.named_modules()
        if type(layer) is nn.Linear
        and layer is not head
        and not any(f".{name}".endswith(f".{ending}") for ending in skip)
    ]
    for name in names:
        parent, _, key = name.rpartition(".")
        layer = model.get_submodule(name)
        setattr(model.get_submodule(parent), key, Float8Linear(layer, transposed))  # type: ignore[arg-type]


class Float8Linear(nn.Linear):
    """y = x Wᵀ + bias, with W (out, in) in float8 and a scale for each of its rows.

    ``weight`` holds the bytes (uint8), so that nobody takes it for a weight to compute with.
    With ``transposed`` Wᵀ lies beside it, with a scale for each of *its* rows. A float8
    product needs both widths to be multiples of 16; other layers are dequantized.
    """

    def __init__(self, layer: nn.Linear, transposed: bool):
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        with torch.no_grad():
            values, scale = rounded(layer.weight)
            self.weight = nn.Parameter(values.view(torch.uint8), requires_grad=False)
            self.register_buffer("scale", scale)
            self.products = (
                has_float8(layer.weight.device)
                and layer.in_features % 16 == 0
                and layer.out_features % 16 == 0
            )
            if transposed and self.products:
                values, scale = rounded(layer.weight.t().contiguous())
                self.register_buffer("transposed", values.view(torch.uint8))
                self.register_buffer("transposed_scale", scale)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        out = Product.apply(x.reshape(-1, self.in_features), *self.operands())
        out = out.view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias

    def operands(self) -> tuple[Any, ...]:
        """The weight's bytes and scales; those of its transpose; whether products are float8."""
        return (
            self.weight.detach(),
            self.scale,
            getattr(self, "transposed", None),
            getattr(self, "transposed_scale", None),
            self.products,
        )

    @staticmethod
    def multiply(
        x: Tensor, weight: Tensor, scale: Tensor, over: Any, over_scale: Any, products: bool
    ) -> Tensor:
        if products and x.dtype == torch.bfloat16:
            return product(x, weight, scale)
        return x @ dequantized(weight, scale, x.dtype).t()

    @staticmethod
    def multiply_transposed(
        y: Tensor, weight: Tensor, scale: Tensor, over: Any, over_scale: Any, products: bool
    ) -> Tensor:
        if products and over is not None and y.dtype == torch.bfloat16:
            return product(y, over, over_scale)
        return y @ dequantized(weight, scale, y.dtype)


class Product(torch.autograd.Function):
    """The layer's product where no kernel takes it over; the weight gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *operands: Any) -> Tensor:
        kind = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
        ctx.operands, ctx.kind = operands, x.dtype
        return Float8Linear.multiply(x.to(kind), *operands)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        of_x = Float8Linear.multiply_transposed(outer, *ctx.operands)
        return (of_x.to(ctx.kind), *[None] * len(ctx.operands))


def rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Float8 values of ``rows`` (N, width), and the scale (float32, (N, 1)) of each."""
    scale = rows.abs().amax(-1, keepdim=True).float().clamp(min=1e-12) / LARGEST
    return (rows.float() / scale).to(KIND), scale


def product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """X Wᵀ of x (tokens, in) in bfloat16, rounded here, and the bytes of W (out, in)."""
    values, of_x = rounded(x)
    return torch._scaled_mm(
        values,
        weight.view(KIND).t(),
        of_x,
        scale.t(),
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )


def dequantized(weight: Tensor, scale: Tensor, kind: torch.dtype) -> Tensor:
    """The weight (out, in) again."""
    return (weight.view(KIND).float() * scale).to(kind)


def has_float8(device: torch.device) -> bool:
    """Whether the device multiplies float8 by itself."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)
