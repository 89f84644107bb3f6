"""The model in full shape and without values, from its configuration alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ft.pipeline.defaults import build_model
from ft.training.recompute import recomputable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch._subclasses.fake_tensor import FakeTensorMode

    from ft.api import Run

TRACED_LAYERS = 3
"""Layers that stand for all, where all are alike: the first, one between, the last."""


class QuantizedLinear(nn.Linear):
    """A frozen layer in fewer bits, as :class:`ft.api.FrozenLinear` describes it.

    Its weight is widened for each product and nothing of it is kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        kind = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
        out: Tensor = _Product.apply(x.to(kind).flatten(0, -2), self.weight)
        out = out.view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias

    def operands(self) -> tuple[Any, ...]:
        return (self.weight.detach(),)

    @staticmethod
    def multiply(x: Tensor, weight: Tensor) -> Tensor:
        return x @ weight.to(x.dtype, copy=True).t()

    @staticmethod
    def multiply_transposed(y: Tensor, weight: Tensor) -> Tensor:
        return y @ weight.to(y.dtype, copy=True)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.weight = weight
        return QuantizedLinear.multiply(x, weight)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        return QuantizedLinear.multiply_transposed(outer, ctx.weight), None


def adapted_model(run: Run) -> nn.Module:
    """The model of ``run.config`` with its adapter, on the meta device.

    The place of a quantizer's layers is taken by :class:`QuantizedLinear`.
    """
    run.device = torch.device("meta")
    with torch.device("meta"):
        model = build_model(run, run.model_folder, run.config)
        quantizer = run.part("quantizer")
        # one that rounds weights while they train stores them as they are
        if quantizer is not None and "quantized-base" in quantizer.capabilities().provides:
            model.requires_grad_(False)
            _quantize(model)
        run.model = run.hook.ft_adapt_model(run=run, model=model)
    return run.model


def _quantize(model: nn.Module) -> None:
    find = getattr(model, "get_output_embeddings", None)
    head = find() if find else None
    for layer in model.modules():
        if type(layer) is nn.Linear and layer is not head:
            layer.__class__ = QuantizedLinear


def alike(layers: Sequence[nn.Module]) -> bool:
    """Whether layers have parameters of the same names, shapes, types and use."""

    def looks(layer: nn.Module) -> list[Any]:
        return [(n, p.shape, p.dtype, p.requires_grad) for n, p in layer.named_parameters()]

    return all(looks(layer) == looks(layers[0]) for layer in layers)


def shorten(model: nn.Module) -> int:
    """Leave :data:`TRACED_LAYERS` layers of a model whose layers are alike; returns its depth."""
    layers = recomputable(model)
    if len(layers) > TRACED_LAYERS and alike(layers):
        for module in model.modules():
            for name, child in module.named_children():
                if isinstance(child, nn.ModuleList) and list(child) == layers:
                    setattr(module, name, child[:TRACED_LAYERS])
    return len(layers)


def to_fake(model: nn.Module, mode: FakeTensorMode) -> None:
    """Put fake tensors on the CPU in the place of those on the meta device; ties stay."""
    made: dict[int, Tensor] = {}

    def fake(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            with mode:
                new = torch.empty(tensor.shape, dtype=tensor.dtype)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if is_parameter else new
        return made[id(tensor)]

    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = fake(tensor)  # type: ignore[assignment]
