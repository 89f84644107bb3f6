"""GPTQ (Frantar et al., 2022, arXiv:2210.17323), layer by layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ft.api import InputError, Run
from ft_quantizer_gptq.linear import grid, pack

BLOCK = 128
"""Inputs whose compensation of later ones is put off and done at once (step 2 of section 3.3)."""


def quantize_model(
    run: Run, model: Any, rows: Sequence[Tensor], options: Any
) -> dict[str, dict[str, Tensor]]:
    """Round all linear layers but the output layer in place; the stored tensors of each by name.

    Those of one decoder layer are calibrated in one pass over ``rows``, with all layers before
    them rounded.
    """
    layers = linear_layers(model)
    for name, layer in layers.items():
        refuse(name, layer, options)
    encoded: dict[str, dict[str, Tensor]] = {}
    done = run.progress.track("quantizing", len(layers))
    for prefix, names in by_decoder_layer(layers).items():
        chosen = {name: layers[name] for name in names}
        hessians = hessians_of(model, prefix, chosen, rows)
        for name, layer in chosen.items():
            size = min(options.group_size, layer.in_features)
            values, zeros, scales, groups = quantize(
                layer.weight.detach(),
                hessians.get(name),
                bits=options.bits,
                group_size=size,
                symmetric=options.symmetric,
                by_activation=options.order == "activation",
                damping=options.damping,
            )
            index = groups.to(values.device)
            rounded = (values.float() - zeros[:, index]) * scales[:, index]
            layer.weight.data.copy_(rounded)
            stored = pack(
                values.cpu(),
                zeros.cpu(),
                scales.cpu(),
                bits=options.bits,
                group_size=size,
                groups=groups.cpu(),
            )
            encoded[name] = stored
            done(1)
    return encoded


def linear_layers(model: Any) -> dict[str, nn.Linear]:
    """All linear layers but the output layer, by name."""
    head = model.get_output_embeddings()
    return {
        name: layer
        for name, layer in model.named_modules()
        if type(layer) is nn.Linear and layer is not head
    }


def refuse(name: str, layer: nn.Linear, options: Any) -> None:
    """Raise :class:`InputError` for a layer that the file format cannot hold."""
    each = 32 // options.bits
    size = min(options.group_size, layer.in_features)
    if layer.in_features % size or layer.in_features % each or layer.out_features % each:
        raise InputError(
            f"{name} has {layer.in_features} inputs and {layer.out_features} outputs: GPTQ stores "
            f"groups of {size} inputs, and both in words of {each}",
            hint="choose a group_size that divides the inputs of all layers",
        )


def by_decoder_layer(names: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names by the decoder layer that they are in; the rest, each by itself."""
    found: dict[str, list[str]] = {}
    for name in names:
        numbered = re.match(r"\D*\.\d+(?=\.)", name)
        found.setdefault(numbered[0] if numbered else name, []).append(name)
    return found


class _Enough(Exception):
    """The layer at hand has seen its inputs."""


def hessians_of(
    model: Any, prefix: str, layers: Mapping[str, nn.Linear], rows: Sequence[Tensor]
) -> dict[str, Tensor]:
    """2 X Xᵀ over all tokens of ``rows`` for each layer that they reach, (in, in) in float32."""
    found: dict[str, Tensor] = {}

    def add(name: str, inputs: Tensor) -> None:
        x = inputs.detach().reshape(-1, inputs.shape[-1]).float()
        found[name] = found.get(name, 0) + 2 * x.t() @ x

    def stop(*_: Any) -> None:
        raise _Enough

    handles = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: add(name, inputs[0]))
        for name, layer in layers.items()
    ]
    handles.append(model.get_submodule(prefix).register_forward_hook(stop))
    try:
        for ids in rows:
            try:
                with torch.no_grad():
                    model(input_ids=ids, use_cache=False)
            except _Enough:
                continue
    finally:
        for handle in handles:
            handle.remove()
    return found


def quantize(
    weight: Tensor,
    hessian: Tensor | None,
    *,
    bits: int,
    group_size: int,
    symmetric: bool,
    by_activation: bool = False,
    damping: float = 0.01,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``weight`` (out, in) rounded, given the Hessian of its outputs' squared error.

    Algorithm 1 of the paper; without a Hessian, or with a diagonal one, to the nearest. Returns
    values (out, in) in uint8, zero points and scales (out, groups), and the group of each input.
    """
    out, width = weight.shape
    left = weight.float().clone()
    device = weight.device
    order = torch.arange(width, device=device)
    if hessian is None:
        hessian = torch.eye(width, device=device)
    else:
        hessian = hessian.clone()
        unseen = hessian.diagonal() == 0  # inputs that are always zero: any weight will do
        hessian.diagonal()[unseen] = 1
        if by_activation:
            order = hessian.diagonal().argsort(descending=True, stable=True)
        hessian = hessian[order][:, order]
        hessian.diagonal().add_(damping * hessian.diagonal().mean())
    left = left[:, order]
    # row i of it says how later weights make up for the error of weight i (equation 3)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)

    values = torch.empty(out, width, dtype=torch.uint8, device=device)
    zeros = torch.empty(out, width // group_size, device=device)
    scales = torch.empty_like(zeros)
    for start in range(0, width, BLOCK):
        end = min(start + BLOCK, width)
        errors = torch.empty(out, end - start, device=device)
        for i in range(start, end):
            group = i // group_size
            if i % group_size == 0:
                ahead = left[:, i : i + group_size].clone()
                if end < i + group_size:  # what this block has put off
                    ahead[:, end - i :] -= (
                        errors[:, : i - start] @ upper[start:i, end : i + group_size]
                    )
                scales[:, group], zeros[:, group] = grid(ahead, bits, symmetric=symmetric)
            scale, zero = scales[:, group], zeros[:, group]
            value = (left[:, i] / scale + zero).round().clamp(0, 2**bits - 1)
            values[:, i] = value.to(torch.uint8)
            error = (left[:, i] - (value - zero) * scale) / upper[i, i]
            left[:, i:end] -= error[:, None] * upper[i, i:end]
            errors[:, i - start] = error
        left[:, end:] -= errors @ upper[start:end, end:]

    groups = torch.empty(width, dtype=torch.long, device=device)
    groups[order] = torch.arange(width, device=device) // group_size
    back = order.argsort()
    return values[:, back], zeros, scales, groups
