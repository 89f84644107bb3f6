"""Whole modules that train beside an adapter do so in float32."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def widen(model: nn.Module) -> bool:
    """Have whole modules that train do so in float32, whatever the base; true where one was not.

    PEFT does that for what it adds, and copies ``modules_to_save`` and normalization layers in
    the type of the base, in whose 8 bits small updates vanish. What such a copy returns has that
    type again.
    """
    from peft.tuners.ln_tuning.layer import LNTuningLayer
    from peft.utils import ModulesToSaveWrapper

    widened = False
    for wrapper in model.modules():
        if isinstance(wrapper, ModulesToSaveWrapper):
            copies = wrapper.modules_to_save
        elif isinstance(wrapper, LNTuningLayer):
            copies = wrapper.ln_tuning_layers
        else:
            continue
        for copied in copies.values():
            weight = next(copied.parameters(), None)
            if weight is None or not weight.requires_grad or weight.dtype.itemsize >= 4:
                continue
            copied.register_forward_pre_hook(_in_type_of_weights)
            copied.register_forward_hook(partial(_in_type, weight.dtype))
            copied.float()
            widened = True
    return widened


def _in_type_of_weights(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    dtype = next(module.parameters()).dtype
    return tuple(_in_type(dtype, module, inputs, value) for value in inputs)


def _in_type(dtype: Any, module: nn.Module, inputs: tuple[Any, ...], value: Any) -> Any:
    """``value`` in another floating-point type, if it has one; a hook once ``dtype`` is given."""
    floats = hasattr(value, "is_floating_point") and value.is_floating_point()
    return value.to(dtype) if floats else value
