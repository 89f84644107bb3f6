"""Which layers of a model an adapter can wrap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ft.api import InputError, ModelFamily
from ft_adapter_peft.options import LayerOptions
from ft_adapter_peft.saved import named

if TYPE_CHECKING:
    from torch import nn


def linear_layers(model: nn.Module, family: ModelFamily, wanted: Sequence[str] = ()) -> list[str]:
    """The names of the linear layers, without the output layer.

    ``wanted`` chooses among the family's parts. Without a choice everything counts that
    belongs to no part or to ``language``: a vision tower is adapted only when asked for. Where
    that is nothing, as in a family that divides a text model into parts, all of them count.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    unknown = [name for name in wanted if name not in family.groups]
    if unknown:
        known = ", ".join(family.groups) or "none"
        raise InputError(
            f"adapter.groups: this model has no part {unknown[0]!r}", hint=f"its parts: {known}"
        )
    head = model.get_output_embeddings()  # type: ignore[operator]
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    ]
    chosen = wanted or ("language", None)
    found = [name for name in layers if family.group_of(name) in chosen]
    return found if found or wanted else layers


def find_targets(model: nn.Module, family: ModelFamily, options: LayerOptions) -> list[str] | str:
    """What the options choose, as PEFT's ``target_modules``.

    Raises :class:`InputError` where nothing matches, with what there is.
    """
    wanted: list[str] | str = options.target
    layers = linear_layers(model, family, options.groups)
    missing: list[str] = []
    if wanted == "all-linear":
        if not layers:
            raise InputError("this model has no linear layer that an adapter can wrap")
        wanted = layers
    elif isinstance(wanted, str):
        missing = [] if named(model, wanted) else [wanted]
    else:
        missing = [one for one in wanted if not named(model, [one])]
    if missing and options.continue_from is not None:
        raise InputError(
            f"this adapter was made for another base model: it adapts {missing[0]!r}, and "
            "this one has no such layer",
            where=str(options.continue_from),
            hint="its adapter_config.json says which base it belongs to",
        )
    if missing:
        kinds = sorted({name.rpartition(".")[2] for name in layers})
        raise InputError(
            f"adapter.target {missing[0]!r} matches no layer of this model",
            hint=f"its linear layers are: {', '.join(kinds)}",
        )
    return wanted if options.layers is None else _in_layers(model, wanted, options.layers)


def _in_layers(model: nn.Module, wanted: list[str] | str, numbers: Sequence[int]) -> list[str]:
    # the first number of a name is that of the layer; an expert's comes later
    numbered = re.compile(r"\D*\.(\d+)\.")
    there = {
        name: int(match[1])
        for name in sorted(named(model, wanted))
        if (match := numbered.match(name))
    }
    missing = sorted(set(numbers) - set(there.values()))
    if missing:
        raise InputError(
            f"adapter.layers: this model has no such layers among its targets: {missing}",
            hint=f"there are: {sorted(set(there.values()))}",
        )
    return [name for name, number in there.items() if number in numbers]
