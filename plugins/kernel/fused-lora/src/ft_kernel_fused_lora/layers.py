"""Which layers of a model are fused, and what stands in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from ft_kernel_fused_lora.functions import Apart, Joined
from ft_kernel_fused_lora.products import DENSE, Form, form_of

SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one module that are called on the same input, in the order in which they are.

Only a guess at what pays: an input that is not the same is multiplied on its own.
"""


def fuse(model: nn.Module, *, on_cpu: bool | None = None) -> tuple[int, str | None]:
    """Fuse the LoRA layers of ``model``; how many were, and why the first other one was not.

    ``on_cpu`` says whether it will train on a CPU; unset: where it is.
    """
    from peft.tuners.lora import LoraLayer

    left: str | None = None
    groups: list[list[Any]] = []
    for name, module in model.named_modules():
        children = dict(module.named_children())
        layers = {}
        for key, child in children.items():
            if not isinstance(child, LoraLayer):
                continue
            if why := obstacle(child):
                left = left or f"{name}.{key} {why}"
            else:
                layers[key] = child
        groups += grouped(layers)
    fused = [Group(layers, on_cpu) for layers in groups]
    if fused:
        # parameters may change between any two passes: an optimizer steps, a checkpoint is loaded
        find = getattr(model, "get_base_model", None)
        inner = find() if find else model
        inner.register_forward_pre_hook(lambda *_: refresh(fused))
    return sum(len(group.layers) for group in fused), left


def obstacle(layer: Any) -> str | None:
    """Why a LoRA layer cannot be fused, as the end of a sentence."""
    names = list(layer.active_adapters)
    if len(names) != 1 or names[0] not in layer.lora_A:
        return "has not exactly one adapter"
    (name,) = names
    if layer.merged:
        return "is merged"
    if getattr(layer.lora_dropout[name], "p", 0):
        return "has dropout"
    if layer.use_dora.get(name) or getattr(layer, "lora_variant", {}).get(name):
        return "is of another variant of LoRA"
    if type(layer.lora_A[name]) is not nn.Linear or layer.lora_B[name].bias is not None:
        return "has low-rank layers of another kind"
    if form_of(layer.get_base_layer()) is None:
        return f"is over a {type(layer.get_base_layer()).__name__}"
    return None


def grouped(layers: dict[str, Any]) -> Iterator[list[Any]]:
    """The layers of one module in groups that are called on the same input."""
    rest = dict(layers)
    for names in SIBLINGS:
        if all(name in rest for name in names):
            members = [rest[name] for name in names]
            if len({(one.in_features, base_of(one).weight.device) for one in members}) == 1:
                yield members
                for name in names:
                    del rest[name]
    yield from ([layer] for layer in rest.values())


def base_of(layer: Any) -> Any:
    return layer.get_base_layer()


class Group:
    """Layers that share an input, with their low-rank weights ready for the products.

    ``kind`` is the type of the products: that of a dense weight, and bfloat16 or float32 by
    what autocast says otherwise.
    """

    def __init__(self, layers: Sequence[Any], on_cpu: bool | None = None):
        self.layers = list(layers)
        self.names = [layer.active_adapters[0] for layer in layers]
        self.forms: tuple[Form, ...] = tuple(form_of(base_of(one)) for one in layers)  # type: ignore[misc]
        self.ready: tuple[Tensor, tuple[Tensor, ...]] | None = None
        a, b = self.parameters()
        device = a[0].device
        on_cpu = device.type == "cpu" if on_cpu is None else on_cpu
        self.ranks, self.rows = [len(one) for one in a], [len(one) for one in b]
        self.inside = a[0].shape[1]
        joined = all(form is DENSE for form in self.forms)
        kinds = {base_of(one).weight.dtype for one in layers}
        self.joined = joined and len(kinds) == 1
        aligned = (sum(self.ranks) % 8, self.inside % 8) == (0, 0)  # as matrix units want them
        self.wide = self.joined and aligned and sum(self.rows) > self.inside
        tall = self.joined and not self.wide and len(layers) == 1
        kind = kinds.pop() if self.joined else torch.bfloat16
        self.kind: torch.dtype = kind if self.joined or not on_cpu else torch.float32
        if self.joined:
            self.weight = torch.zeros(
                sum(self.rows) + (self.ranks[0] if tall else 0),
                self.inside + (sum(self.ranks) if self.wide else 0),
                dtype=self.kind,
                device=device,
            )
            ends = list(accumulate(self.rows))
            for layer, end, rows in zip(layers, ends, self.rows, strict=True):
                base, place = base_of(layer), self.weight[end - rows : end]
                place[:, : self.inside] = base.weight.detach()
                base.weight.data = place[:, : self.inside]
        if tall:
            self.a = self.weight[self.rows[0] :]
        else:
            self.a = torch.empty(sum(self.ranks), self.inside, dtype=self.kind, device=device)
        if self.wide:
            firsts = zip(accumulate([0, *self.rows]), accumulate([0, *self.ranks]), strict=True)
            self.b = tuple(
                self.weight[row : row + rows, self.inside + column : self.inside + column + rank]
                for (row, column), rows, rank in zip(firsts, self.rows, self.ranks, strict=False)
            )
        else:
            self.b = tuple(
                torch.empty(rows, rank, dtype=self.kind, device=device)
                for rows, rank in zip(self.rows, self.ranks, strict=True)
            )
        for number, layer in enumerate(layers):
            layer.__class__ = fused_class(type(layer))  # type: ignore[arg-type]
            # past nn.Module's own, which would take it for a part of the model
            object.__setattr__(layer, "fused", (self, number))

    def parameters(self) -> tuple[list[Tensor], list[Tensor]]:
        """All A, and all B."""
        pairs = list(zip(self.layers, self.names, strict=True))
        return (
            [layer.lora_A[name].weight for layer, name in pairs],
            [layer.lora_B[name].weight for layer, name in pairs],
        )

    @property
    def scales(self) -> tuple[float, ...]:
        return tuple(one.scaling[name] for one, name in zip(self.layers, self.names, strict=True))

    def multiply(self, x: Tensor) -> tuple[Tensor, ...]:
        """All layers on ``x`` (…, in), each (…, out)."""
        flat = x.reshape(-1, self.inside).to(self.kind)
        a, b = self.parameters()
        if self.joined:
            out = Joined.apply(flat, self.weight, self.a, self.b, self.wide, self.scales, *a, *b)
        else:
            operands = tuple(
                form.operands(base_of(layer))
                for form, layer in zip(self.forms, self.layers, strict=True)
            )
            out = Apart.apply(flat, self.a, self.b, self.forms, operands, self.scales, *a, *b)
        return tuple(part.view(*x.shape[:-1], -1) for part in out)


@lru_cache
def fused_class(former: type[Any]) -> type[Any]:
    """A LoRA layer of the class ``former`` that leaves its forward pass to its group.

    A class for all of its layers, since a compiler takes a function put into each of them for as
    many different ones.
    """

    class Fused(former):
        fused: tuple[Group, int]

        def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            group, number = self.fused
            kind = x.dtype
            if torch.is_autocast_enabled(x.device.type):
                kind = torch.get_autocast_dtype(x.device.type)
            if kind != group.kind or args or kwargs or not self.is_plain(group.names[number]):
                return super().forward(x, *args, **kwargs)
            ready, group.ready = group.ready, None
            if ready is None or ready[0] is not x:
                ready = (x, group.multiply(x))
            if number + 1 < len(group.layers):
                group.ready = ready
            out = ready[1][number]
            bias = self.get_base_layer().bias
            return out if bias is None else out + bias

        def is_plain(self, name: str) -> bool:
            """Whether the layer is still what it was when it was fused."""
            return not (
                self.disable_adapters or self.merged or list(self.active_adapters) != [name]
            )

    return Fused


@torch.no_grad()
def refresh(groups: Sequence[Group]) -> None:
    """Copy the low-rank parameters to where the products read them."""
    # through .data: what autograd kept of the last pass has the same values
    into_a: list[Tensor] = []
    into_b: list[Tensor] = []
    all_a: list[Tensor] = []
    all_b: list[Tensor] = []
    scales: list[float] = []
    for group in groups:
        a, b = group.parameters()
        into_a += group.a.data.split(group.ranks)
        into_b += [low.data for low in group.b]
        all_a += a
        all_b += b
        scales += group.scales
    # a call for all of them, since a call for each takes longer than the copies do
    torch._foreach_copy_(into_a, torch._foreach_mul(all_a, scales))
    torch._foreach_copy_(into_b, all_b)
