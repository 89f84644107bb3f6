"""Compiled layers, with or without their own recomputation."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch._functorch import config


def compile_layers(model: nn.Module, backend: str) -> int:
    """Have each layer called through compiled code; how many there are."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    # two functions, so that the compiler keeps what it makes of them apart
    keeping = torch.compile(_keeping, backend=backend)
    recomputing = torch.compile(_recomputing, backend=backend)
    layers = [one for one in model.modules() if isinstance(one, GradientCheckpointingLayer)]
    for layer in layers:
        layer._compiled_call_impl = partial(_call, layer, keeping, recomputing)  # type: ignore[assignment]
    return len(layers)


def _keeping(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return layer._call_impl(*args, **kwargs)


def _recomputing(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return layer._call_impl(*args, **kwargs)


def _call(layer: Any, keeping: Any, recomputing: Any, *args: Any, **kwargs: Any) -> Any:
    """What a layer does when it is called.

    Where it is to recompute its activations, the compiler is told to keep none, and the layer's
    own checkpointing, into which a compiler does not look, is left out.
    """
    if not (layer.gradient_checkpointing and layer.training and torch.is_grad_enabled()):
        return keeping(layer, *args, **kwargs)
    layer.gradient_checkpointing = False
    try:
        # what is compiled now and on a later change of shapes alike
        with config.patch(activation_memory_budget=0.0):
            return recomputing(layer, *args, **without_cache(kwargs))
    finally:
        layer.gradient_checkpointing = True


def without_cache(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments without a cache, which a layer that runs twice would fill twice."""
    left = {"past_key_values": None, "layer_past": None, "use_cache": False}
    return kwargs | {name: none for name, none in left.items() if kwargs.get(name)}
