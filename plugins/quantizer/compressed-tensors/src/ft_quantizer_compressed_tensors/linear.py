"""A linear layer whose weight stays compressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from torch import Tensor, nn

from ft.api import InputError
from ft.api.packed import PackedLinear


class CompressedLinear(PackedLinear):
    """W is what the library's compressor of the file format makes of the stored tensors."""

    def __init__(
        self,
        name: str,
        linear: nn.Linear,
        stored: Mapping[str, Tensor],
        scheme: QuantizationScheme,
        form: str,
    ):
        if form not in BaseCompressor.registered_names():
            raise InputError(
                f"{name} is stored in the format {form}, which the installed compressed-tensors "
                "does not decompress",
                hint="take a checkpoint in another format",
            )
        if "weight_g_idx" in stored:
            raise InputError(
                f"{name} was quantized in the order of activations (weight_g_idx), which "
                "compressed-tensors does not decompress",
                hint="take a checkpoint with actorder null, static or weight",
            )
        super().__init__(linear, stored)
        self.main = "weight_packed" if "weight_packed" in stored else "weight"  # type: ignore[misc]
        self.scheme = scheme
        self.compressor = BaseCompressor.get_value_from_registry(form)
        self.kind: torch.dtype | None = None
        self.names: tuple[str, ...] = ()

    def settle(self) -> None:
        super().settle()
        # scales of activations in a served model: they are not rounded here
        for name in [name for name in self._parameters if name.startswith(("input_", "output_"))]:
            del self._parameters[name]
        self._parameters.pop("weight_shape", None)
        if self.weight.is_floating_point():
            # bytes, so that nobody takes it for a weight to compute with
            self.kind = self.weight.dtype
            self.weight = nn.Parameter(self.weight.view(torch.uint8), requires_grad=False)
        self.names = tuple(n for n, p in self._parameters.items() if n != "bias" and p is not None)

    def operands(self) -> tuple[Any, ...]:
        stored = [self.get_parameter(name).detach() for name in self.names]
        if self.kind is not None:
            stored[self.names.index("weight")] = self.weight.detach().view(self.kind)
        names = tuple(self.main if name == "weight" else name for name in self.names)
        shape = (self.out_features, self.in_features)
        return self.compressor, self.scheme, shape, names, *stored

    @classmethod
    def unpacked(
        cls,
        kind: torch.dtype,
        compressor: type[BaseCompressor],
        scheme: QuantizationScheme,
        shape: tuple[int, int],
        names: tuple[str, ...],
        *stored: Tensor,
    ) -> Tensor:
        tensors = dict(zip(names, stored, strict=True))
        scale = tensors["weight_scale"]
        if scale.dtype.is_floating_point and scale.dtype.itemsize > 1:
            tensors["weight_scale"] = scale.to(torch.promote_types(scale.dtype, kind))
        if "weight_packed" in tensors:
            tensors["weight_shape"] = torch.tensor(shape)
        return compressor.decompress(tensors, scheme)["weight"].to(kind)


def encoded(weight: Tensor, described: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The tensors of a layer whose ``weight`` is rounded to the nearest, in one integer format."""
    config = QuantizationConfig.model_validate(dict(described))
    scheme = config.config_groups["group_0"]
    assert scheme.weights is not None
    size = scheme.weights.group_size
    grouped = weight.detach().float().unflatten(-1, (-1, size))
    scale, zero = calculate_qparams(grouped.amin(-1), grouped.amax(-1), scheme.weights)
    compressor = BaseCompressor.get_value_from_registry(config.format)
    tensors = {"weight": weight.detach().float(), "weight_scale": scale, "weight_zero_point": zero}
    packed = compressor.compress(tensors, scheme)
    return {**packed, "weight_scale": packed["weight_scale"].half()}
