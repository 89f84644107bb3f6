"""Algorithm 2 of the paper, and the projections that it works with."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api.per_parameter import PerParameter, adam


def sides_of(shape: torch.Size, side: str) -> tuple[bool, bool]:
    """Whether the rows, and whether the columns, of a matrix are projected."""
    if side in ("short", "long"):
        rows = (shape[-2] <= shape[-1]) == (side == "short")
        return rows, not rows
    return side in ("left", "both"), side in ("right", "both")


def directions(gradient: Tensor, rank: int, side: str) -> tuple[Tensor | None, Tensor | None]:
    """The first ``rank`` left and right singular vectors, as far as they are projected on.

    For an m by n gradient P of shape (m, rank) and Q of shape (n, rank); of each in a stack.
    """
    left, _, right = torch.linalg.svd(gradient.float(), full_matrices=False)
    by_rows, by_columns = sides_of(gradient.shape, side)
    rows = left[..., :rank].to(gradient.dtype) if by_rows else None
    columns = right.mT[..., :rank].to(gradient.dtype) if by_columns else None
    return rows, columns


class ProjectedAdam(PerParameter):
    """Adam on P^T G Q, whose direction N moves the weight by ``scale`` P N Q^T.

    In groups without a ``rank``, and on matrices with no side above it, plain Adam.
    """

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        rank = group["rank"]
        if rank is None or min(parameter.shape[-2:]) <= rank:
            direction = adam(gradient, state, group["betas"], group["epsilon"])
            parameter.sub_(direction, alpha=group["lr"])
            return
        if state.get("step", 0) % group["update_gap"] == 0:
            rows, columns = directions(gradient, rank, group["side"])
            found = {"rows": rows, "columns": columns}
            state.update({k: v.contiguous() for k, v in found.items() if v is not None})
        small = gradient
        if "rows" in state:
            small = state["rows"].mT @ small
        if "columns" in state:
            small = small @ state["columns"]
        step = adam(small, state, group["betas"], group["epsilon"])
        if "rows" in state:
            step = state["rows"] @ step
        if "columns" in state:
            step = step @ state["columns"].mT
        parameter.sub_(step, alpha=group["lr"] * group["scale"])
