"""Compiled layers, with or without their own recomputation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch._functorch import config

LEAN: dict[str, Any] = {
    "size_asserts": False,
    "alignment_asserts": False,
    "nan_asserts": False,
}
"""Without the checks of each tensor at each call, which a small model's host has no time for."""


def compile_layers(model: nn.Module, backend: str) -> int:
    """Have each layer called through compiled code; how many there are."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [one for one in model.modules() if isinstance(one, GradientCheckpointingLayer)]
    for layer in layers:
        layer.__class__ = compiled_class(type(layer), backend)  # type: ignore[arg-type]
    return len(layers)


@lru_cache
def compiled_class(former: type[Any], backend: str) -> type[Any]:
    """A layer of the class ``former`` that is called through compiled code.

    A class, because transformers recomputes activations in ``__call__`` or in ``forward``,
    depending on its version, and what is compiled has to stand before both.
    """
    # two functions, so that the compiler keeps what it makes of them apart
    options = LEAN if backend == "inductor" else None
    keeping = torch.compile(_keeping, backend=backend, options=options)
    recomputing = torch.compile(_recomputing, backend=backend, options=options)

    class Compiled(former):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Where activations are to be recomputed, the compiler is told to keep none.

            The layer's own checkpointing, into which a compiler does not look, is left out.
            """
            if not self.gradient_checkpointing:  # type: ignore[has-type]
                return keeping(self, *args, **kwargs)
            self.gradient_checkpointing = False
            try:
                if not (self.training and torch.is_grad_enabled()):
                    return keeping(self, *args, **kwargs)
                # around each call: a change of shapes compiles anew
                with config.patch(activation_memory_budget=0.0):
                    return recomputing(self, *args, **without_cache(kwargs))
            finally:
                self.gradient_checkpointing = True

    return Compiled


def _keeping(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return nn.Module.__call__(layer, *args, **kwargs)


def _recomputing(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return nn.Module.__call__(layer, *args, **kwargs)


def without_cache(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments without a cache, which a layer that runs twice would fill twice."""
    left = {"past_key_values": None, "layer_past": None, "use_cache": False}
    return kwargs | {name: none for name, none in left.items() if kwargs.get(name)}
