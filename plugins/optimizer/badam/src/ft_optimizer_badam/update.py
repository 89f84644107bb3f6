"""Algorithm 1 of the paper, and its form that takes a part of every matrix."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ft.api.per_parameter import PerParameter, adam

if TYPE_CHECKING:
    from ft.api import Run

NEVER = -1
"""The block of what has no turn."""


def layers_of(run: Run, groups: list[dict], embeddings: bool) -> list[dict]:
    """``groups`` divided by layer; each part names its ``block``, from 0 upwards.

    What is neither in a layer nor an embedding, such as the last norm, goes with the top layer.
    Embeddings and output layer are the last block, or in none; where nothing else trains, as with
    virtual tokens, they are the only block. A model without numbered layers is a single block.
    """
    output = run.model.get_output_embeddings()  # type: ignore[operator]
    outer = {
        id(parameter)
        for module in run.model.modules()
        if isinstance(module, nn.Embedding) or module is output
        for parameter in module.parameters()
    }
    layers: dict[str, int] = {}
    names: dict[int, str | None] = {}
    for name, parameter in run.trainable():
        found = re.match(r"(.*?\.\d+)\.", name)
        layer = found[1] if found and id(parameter) not in outer else None
        names[id(parameter)] = layer
        if layer is not None:
            layers.setdefault(layer, len(layers))
    top = max(len(layers) - 1, 0)
    last = top + 1 if embeddings else NEVER
    if names.keys() <= outer:
        last = 0

    def block(parameter: nn.Parameter) -> int:
        if id(parameter) in outer:
            return last
        layer = names[id(parameter)]
        return top if layer is None else layers[layer]

    made: dict[tuple[int, int], dict] = {}
    for number, group in enumerate(groups):
        for parameter in group["params"]:
            place = block(parameter)
            fresh = {**group, "params": [], "block": place}
            made.setdefault((place, number), fresh)["params"].append(parameter)
    return [made[key] for key in sorted(made)]


class LayerAdam(PerParameter):
    """Adam on the block whose turn it is; the others are frozen and have no state."""

    def __init__(self, groups: Iterable[dict[str, Any]], **settings: Any):
        super().__init__(groups, taken=0, **settings)
        self._freeze_others()

    @property
    def active(self) -> int:
        """The block whose turn it is; all of it follows from the steps that were taken."""
        place = self.param_groups[0]
        count = len({group["block"] for group in self.param_groups} - {NEVER})
        lap, turn = divmod(place["taken"] // place["switch_every"], count)
        blocks = list(range(count))
        if place["order"] == "random":
            random.Random(place["seed"] + lap).shuffle(blocks)
        elif place["order"] == "descending":
            blocks.reverse()
        return blocks[turn]

    def _freeze_others(self) -> None:
        active = self.active
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(group["block"] == active)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._freeze_others()

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        before = self.active
        self.param_groups[0]["taken"] += 1
        if self.active != before:
            self.state.clear()
            self._freeze_others()
        return loss

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        direction = adam(gradient, state, group["betas"], group["epsilon"])
        parameter.sub_(direction, alpha=group["lr"])


class PartAdam(PerParameter):
    """Adam on a part of each matrix, and on the whole of each vector.

    A matrix is a row of parts of ``ratio`` of its numbers, which take turns in a random order.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], **settings: Any):
        # what is not updated must not decay either, so a group's decay has a name of its own
        own = [{**g, "part_decay": g["weight_decay"], "weight_decay": 0.0} for g in groups]
        super().__init__(own, **settings)

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        index = state.setdefault("index", len(self.state))
        taken = state.get("taken", 0)
        count = math.ceil(1 / group["ratio"]) if parameter.ndim >= 2 else 1
        size = math.ceil(parameter.numel() / count)
        if taken % group["switch_every"] == 0:
            state.clear()
            lap, turn = divmod(taken // group["switch_every"], count)
            parts = list(range(count))
            # no generator of torch: every process must come to the same
            random.Random(f"{group['seed']} {index} {lap}").shuffle(parts)
            state.update(index=index, start=parts[turn] * size)
        state["taken"] = taken + 1
        part = slice(state["start"], state["start"] + size)
        step = adam(gradient.reshape(-1)[part], state, group["betas"], group["epsilon"])
        numbers = parameter.view(-1)[part]
        numbers.mul_(1 - group["lr"] * group["part_decay"]).sub_(step, alpha=group["lr"])
