"""Which layers of a model an adapter can wrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ft.api import InputError, ModelFamily

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
