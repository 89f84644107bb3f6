"""Which layers of a model an adapter can wrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ft.api import InputError

if TYPE_CHECKING:
    from torch import nn


def linear_layers(
    model: nn.Module, groups: Mapping[str, str], wanted: Sequence[str] = ()
) -> list[str]:
    """The names of the linear layers, without the output layer.

    ``groups`` are a family's parts by name prefix; ``wanted`` chooses among them. Without a
    choice everything counts that belongs to no part or to ``language``: a vision tower is
    adapted only when asked for.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    unknown = [name for name in wanted if name not in groups]
    if unknown:
        known = ", ".join(groups) or "none"
        raise InputError(
            f"adapter.groups: this model has no part {unknown[0]!r}", hint=f"its parts: {known}"
        )
    head = model.get_output_embeddings()  # type: ignore[operator]
    chosen = set(wanted or ("language",))

    def covered(name: str) -> bool:
        parts = {part for part, prefix in groups.items() if f"{name}.".startswith(f"{prefix}.")}
        return bool(parts & chosen) or (not parts and not wanted)

    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head and covered(name)
    ]
