"""A converted model as files.

Its weights bear a name that nothing else looks for: read without routers they would be another
model, and nobody would be told.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run
from ft_adapter_mixture_of_depths.layer import Router, route

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

VARIANT = "routed"
"""The weights are ``model.routed.safetensors``."""
ROUTERS = "routers.safetensors"


def save(model: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    routers = _routers(model)
    others = {name: tensor for name, tensor in model.state_dict().items() if name not in routers}
    model.save_pretrained(folder, variant=VARIANT, state_dict=others)
    save_file({name: tensor.detach() for name, tensor in routers.items()}, folder / ROUTERS)


def load(run: Run, folder: Path, config: PretrainedConfig) -> nn.Module:
    """The converted model in ``folder``, on the run's device."""
    import torch
    import transformers
    from safetensors.torch import load_file

    own = run.family.classes(config.model_type)
    automatic = run.family.auto_class_for(config.model_type)
    model_class: Any = own[1] if own else getattr(transformers, automatic)
    try:
        saved = load_file(folder / ROUTERS)
        model = model_class.from_pretrained(
            folder, config=config, dtype=run.weight_dtype, variant=VARIANT
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"the converted model cannot be loaded: {str(error).splitlines()[0]}",
            where=str(folder),
        ) from error
    route(run, model, config.mixture_of_depths)
    routers = _routers(model)
    if routers.keys() != saved.keys():
        raise InputError(
            f"{ROUTERS} does not belong to this model: it has "
            f"{min(routers.keys() ^ saved.keys())} not in both",
            where=str(folder),
        )
    with torch.no_grad():
        for name, tensor in routers.items():
            tensor.copy_(saved[name])
    return model.to(run.device)


def _routers(model: nn.Module) -> dict[str, Any]:
    return {
        f"{name}.{key}": tensor
        for name, module in model.named_modules()
        if isinstance(module, Router)
        for key, tensor in module.named_parameters()
    }
