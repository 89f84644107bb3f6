"""What goes into linear layers on the run's data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run

if TYPE_CHECKING:
    from torch import Tensor, nn


def look_at_inputs(
    run: Run,
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    sequences: int,
    look: Callable[[str, Tensor], None],
) -> None:
    """Call ``look`` with a layer's name and its inputs (tokens, in) in float32, batch by batch.

    Padding is left out. An expert is asked only about the tokens that reach it. Raises
    :class:`InputError` where the run has no data.
    """
    import torch

    def hook(name: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        x = arguments[0]
        # outside of the sequence, as in a vision tower, no padding is known
        x = x[real] if x.shape[: real.dim()] == real.shape else x.flatten(0, -2)
        if len(x):
            look(name, x.detach().float())

    hooks = [layer.register_forward_pre_hook(partial(hook, name)) for name, layer in layers.items()]
    found = False
    try:
        with torch.no_grad():
            for batch in run.first_batches(sequences):
                found, real = True, batch["attention_mask"].bool()
                run.forward(model, batch)
    finally:
        for one in hooks:
            one.remove()
    if not found:
        raise InputError("this adapter starts from the run's data, and there is none")
