"""Layers whose input waits elsewhere until they are computed again."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ft_kernel_offload.transfer import Transfer


def offload_layers(model: nn.Module, device: torch.device) -> int:
    """Have each layer that recomputes give its input away; how many there are."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers: list[Any] = [
        one
        for one in model.modules()
        if isinstance(one, GradientCheckpointingLayer) and one.gradient_checkpointing
    ]
    transfer = Transfer(device)
    for layer in layers:
        layer.__class__ = offloading_class(type(layer))  # type: ignore[arg-type]
        # this form saves the input as autograd saves tensors; the other keeps it in a closure
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=True)
        object.__setattr__(layer, "transfer", transfer)
    return len(layers)


@lru_cache
def offloading_class(former: type[Any]) -> type[Any]:
    """A layer of the class ``former`` that gives its input away while it recomputes."""

    class Offloading(former):
        transfer: Transfer

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            recomputes = self.gradient_checkpointing and self.training and torch.is_grad_enabled()
            if not (recomputes and args and isinstance(args[0], Tensor)):
                return super().__call__(*args, **kwargs)
            given, *rest = args
            if not given.requires_grad:  # or this form of recomputing would have no gradient
                given = given.detach().requires_grad_()
            with torch.autograd.graph.saved_tensors_hooks(*self.transfer.hooks(given)):
                return super().__call__(given, *rest, **kwargs)

    return Offloading
