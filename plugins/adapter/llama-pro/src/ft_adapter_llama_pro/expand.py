"""Block expansion: layers that change nothing yet, put between those of a model."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run
from ft.api.layers import decoder_layers

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig


def expand(run: Run, model: Any, new: int, outputs: Sequence[str]) -> list[nn.Module]:
    """Put ``new`` layers into ``model``, in place; returns them.

    Raises :class:`InputError` where the result would not be what its configuration says, or
    computes something else than the model did.
    """
    from torch import nn

    name, layers = decoder_layers(run, model)
    if new > len(layers):
        raise InputError(
            f"adapter.layers is {new}, and this model has {len(layers)} decoder layers to put "
            "them between",
            hint=f"give {len(layers)} at most",
        )
    before = _probed(model)
    # the numbers of the layers that are followed by a copy: the last of each of ``new`` groups
    last = {math.ceil((group + 1) * len(layers) / new) - 1 for group in range(new)}
    origins = [n for number in range(len(layers)) for n in [number] * (1 + (number in last))]
    added, made = [], []
    for place, origin in enumerate(origins):
        layer = layers[origin]
        if place and origins[place - 1] == origin:
            layer = _silent(layer, outputs)
            added.append(layer)
        made.append(layer)
    _expand_config(model.config.get_text_config(), origins, len(layers))
    wanted = _skeleton(model).get_submodule(name)
    for place, (layer, described) in enumerate(zip(made, wanted, strict=True)):
        _settle(layer, described, origins[place], place)
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, nn.ModuleList(made))
    after = _probed(model)
    if before is not None and after is not None and not after.equal(before):
        raise InputError(
            "the expanded model does not compute what the model did: its layers have further "
            "outputs into the residual stream than adapter.outputs names",
            hint="a layer has these modules: "
            + ", ".join(n for n, m in layers[0].named_modules() if isinstance(m, nn.Linear)),
        )
    return added


def _silent(layer: nn.Module, outputs: Sequence[str]) -> nn.Module:
    """A copy of a layer that adds nothing to the residual stream."""
    import torch

    new = copy.deepcopy(layer)
    endings = tuple(f".{name}" for name in outputs)
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            # a stack of experts is a parameter of that name; otherwise it is a module
            if f".{name}".endswith(endings) or f".{name.rpartition('.')[0]}".endswith(endings):
                parameter.zero_()
    return new


def _expand_config(config: PretrainedConfig, origins: Sequence[int], count: int) -> None:
    """Make the configuration that of the expanded model: what it says layer by layer, too."""
    for key, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == count and not key.startswith("_"):
            setattr(config, key, [value[origin] for origin in origins])
    config.num_hidden_layers = len(origins)


def _skeleton(model: Any) -> Any:
    """What the configuration describes, without weights."""
    import torch

    with torch.device("meta"):
        return type(model)._from_config(copy.deepcopy(model.config))


def _settle(layer: nn.Module, described: nn.Module, origin: int, place: int) -> None:
    """Give a layer its new place, by which it finds its part of the key-value cache."""
    shapes = {name: p.shape for name, p in layer.named_parameters()}
    if type(layer) is not type(described) or shapes != {
        name: p.shape for name, p in described.named_parameters()
    }:
        raise InputError(
            "the layers of this model cannot be expanded: its configuration would describe "
            f"layer {place} as another than it is",
            hint="its layers differ by their number; use adapter: freeze or lisa",
        )
    for module, same in zip(layer.modules(), described.modules(), strict=True):
        for key, value in vars(same).items():
            if type(value) is int and value == place and vars(module).get(key) == origin:
                setattr(module, key, place)


def _probed(model: Any) -> Tensor | None:
    """What the model makes of a few tokens; ``None`` for one without values."""
    import torch

    embeddings = model.get_input_embeddings().weight
    if embeddings.device.type == "meta":
        return None
    ids = torch.arange(1, 9, device=embeddings.device)[None]
    training = model.training
    with torch.no_grad():
        logits: Tensor = model.eval()(input_ids=ids, use_cache=False).logits
    model.train(training)
    return logits
