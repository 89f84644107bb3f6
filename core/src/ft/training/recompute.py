"""Recomputing activations backward: less memory for more time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def checkpoint_activations(model: nn.Module, layers: bool | int = True) -> int:
    """Have the first ``layers`` layers of the model recompute their activations backward.

    True stands for all of them, and so does any number in a model whose layers cannot be told
    apart. Returns how many recompute. The gradients are the same (Chen et al., 2016,
    arXiv:1604.06174). Raises :class:`InputError` for an architecture that cannot.
    """
    try:
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    except (AttributeError, ValueError) as error:
        raise InputError(
            f"this model cannot recompute activations: {error}",
            hint="set trainer.gradient_checkpointing: false",
        ) from error
    # transformers has embeddings ask for gradients, which its older way of recomputing needs;
    # here the backward pass would only go through frozen layers below all that train
    model.disable_input_require_grads()  # type: ignore[operator]
    able = recomputable(model)
    wanted = len(able) if layers is True else min(int(layers), len(able))
    for layer in able[wanted:]:
        layer.gradient_checkpointing = False  # type: ignore[assignment]
    return wanted


def recomputable(model: nn.Module) -> list[nn.Module]:
    """The layers of the model that can recompute one by one, in their order."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
