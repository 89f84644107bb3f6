"""Decoder layers that are run for the tokens that their router chooses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ft.api import InputError, Run
from ft.api.layers import decoder_layers
from ft_adapter_mixture_of_depths.choice import choose, dense_mask, real_tokens, sparse_mask

MASKS = ("attention_mask", "mask")
"""What layers call the mask of their attention."""


class Router(nn.Module):
    """Scores tokens: r = w x / rms(x) + b, in float32."""

    def __init__(self, width: int, generator: torch.Generator):
        super().__init__()
        # scores are 1 give or take 0.1
        self.weight = nn.Parameter(torch.randn(1, width, generator=generator) / (10 * width**0.5))
        self.bias = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """(rows, length, width) to (rows, length)."""
        x = x.float()
        x = x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
        return (x * self.weight[0].float()).sum(-1) + self.bias.float()


def route(run: Run, model: Any, settings: Mapping[str, Any]) -> None:
    """Give one layer of so many a router, in place. Routers follow from the run's seed."""
    layers: Any = decoder_layers(run, model)[1]
    if len(layers) < settings["every"]:
        raise InputError(
            f"adapter.every is {settings['every']}, and this model has {len(layers)} decoder "
            "layers: none would be routed",
            hint="lower it",
        )
    generator = torch.Generator().manual_seed(run.seed)
    weight = model.get_input_embeddings().weight
    width = model.config.get_text_config().hidden_size
    flags = len(layers)
    for place, layer in enumerate(layers):
        # of one class, as the layers of a model are
        layer.__class__ = routed_class(type(layer))  # type: ignore[arg-type]
        layer.router = None
        if place % settings["every"] == settings["every"] - 1:
            layer.router = Router(width, generator).to(weight.device, weight.dtype)
            layer.flags, layer.capacity, layer.seen = flags, settings["capacity"], None
            flags += 1


def routed_layers(model: nn.Module) -> list[Any]:
    """The layers that have a router."""
    return [m for m in model.modules() if isinstance(getattr(m, "router", None), Router)]


@lru_cache
def routed_class(former: type[Any]) -> type[Any]:
    """A layer of the class ``former`` with a router, or with none."""
    names = list(inspect.signature(former.forward).parameters)[1:]

    class Routed(former):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            if self.router is None:
                return super().forward(*args, **kwargs)
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            hidden = given.pop(names[0])
            return forward(self, super().forward, hidden, given)

    Routed.__name__, Routed.__qualname__ = former.__name__, former.__qualname__
    Routed.__module__ = former.__module__
    return Routed


def forward(layer: Any, run_layer: Any, hidden: Tensor, given: dict[str, Any]) -> Any:
    """Add r f(x) to the chosen tokens x of ``hidden`` (rows, length, width)."""
    from transformers import Cache

    name = next((name for name in MASKS if name in given), None)
    mask = given.pop(name) if name else None
    if name is None or not (mask is None or (isinstance(mask, Tensor) and mask.dim() == 4)):
        raise InputError(
            f"the layers of this model ({type(layer).__name__}) get no mask of their attention in "
            "a form that mixture of depths knows",
            hint="use adapter: full",
        )
    scores = layer.router(hidden)
    real = real_tokens(mask, hidden)
    cache = next((value for value in given.values() if isinstance(value, Cache)), None)
    if cache is not None and layer.training:
        raise InputError(
            "mixture of depths has no cache in training, where later tokens have a say",
            hint="call the model with use_cache=False, or in evaluation mode",
        )
    if cache is not None:
        chosen = (scores > 0) & real
        given[name] = dense_mask(mask, _chosen_so_far(cache, layer.flags, chosen), hidden)
        made = run_layer(hidden, **given)
        out = made[0] if isinstance(made, tuple) else made
        added = torch.where(chosen, scores, 0)[..., None] * (out - hidden)
        result = hidden + added.to(hidden.dtype)
    else:
        places, is_chosen = choose(scores, real, layer.capacity if layer.training else None)
        if layer.training:
            taken = torch.zeros_like(real).scatter(1, places, is_chosen)
            layer.seen = scores, taken, real
        index = places[..., None].expand(-1, -1, hidden.shape[-1])
        inner = hidden.gather(1, index)
        taken_of = {key: _taken(key, value, places, real) for key, value in given.items()}
        made = run_layer(inner, **taken_of, **{name: sparse_mask(mask, places, is_chosen)})
        out = made[0] if isinstance(made, tuple) else made
        weights = torch.where(is_chosen, scores.gather(1, places), 0)
        added = weights[..., None] * (out - inner)
        result = hidden.scatter_add(1, index, added.to(hidden.dtype))
    return (result, *made[1:]) if isinstance(made, tuple) else result


def _chosen_so_far(cache: Any, number: int, chosen: Tensor) -> Tensor:
    """Which tokens of the whole sequence were chosen: (rows, keys).

    Kept in the cache as layer ``number``, behind those of the model, so that whatever reorders or
    cuts the cache does the same to it.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    if not isinstance(cache, DynamicCache):
        raise InputError(
            f"mixture of depths cannot generate with a {type(cache).__name__}",
            hint="use the usual cache, which grows",
        )
    while len(cache.layers) <= number:
        cache.layers.append(DynamicLayer())
    flags = chosen[:, None, :, None]
    layer: Any = cache.layers[number]
    return layer.update(flags, flags)[0][:, 0, :, 0]


def _taken(name: str, value: Any, places: Tensor, real: Tensor) -> Any:
    """The part of an argument of the layer that belongs to the chosen tokens."""
    if isinstance(value, tuple):
        return tuple(_taken(name, one, places, real) for one in value)
    if not isinstance(value, Tensor):
        return value
    rows, length = real.shape
    if value.dim() < 2 or value.shape[1] != length or value.shape[0] not in (1, rows):
        raise InputError(
            f"the layers of this model get {name} of shape {list(value.shape)}, of which mixture "
            "of depths cannot tell the part of a token",
            hint="use adapter: full",
        )
    index = places.reshape(*places.shape, *[1] * (value.dim() - 2))
    return value.expand(rows, *value.shape[1:]).gather(1, index.expand(-1, -1, *value.shape[2:]))
