"""Algorithm 2 of the paper, and the projections that it works with."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api.per_parameter import PerParameter, adam

OVERSAMPLING = 8
"""Directions that a sketch looks at beyond those that it is asked for."""


def sides_of(shape: torch.Size, side: str) -> tuple[bool, bool]:
    """Whether the rows, and whether the columns, of a matrix are projected."""
    if side in ("short", "long"):
        rows = (shape[-2] <= shape[-1]) == (side == "short")
        return rows, not rows
    return side in ("left", "both"), side in ("right", "both")


def leading(matrix: Tensor, rank: int, decomposition: str) -> Tensor:
    """Left singular vectors of the ``rank`` largest singular values, as columns.

    A ``sketch`` finds them nearly: a random range, two power iterations, and the decomposition
    of what the matrix is in that range (Halko et al., 2009, arXiv:0909.4061). Its numbers are
    the same each time, so that each process finds the same.
    """
    matrix = matrix.float()
    count = rank + OVERSAMPLING
    if decomposition == "svd" or count >= min(matrix.shape[-2:]):
        return torch.linalg.svd(matrix, full_matrices=False)[0][..., :rank]
    generator = torch.Generator(matrix.device).manual_seed(0)
    shape = (matrix.shape[-1], count)
    reached = matrix @ torch.randn(shape, generator=generator, device=matrix.device)
    for _ in range(2):
        reached = matrix @ (matrix.mT @ torch.linalg.qr(reached)[0])
    basis = torch.linalg.qr(reached)[0]
    within = basis.mT @ matrix
    # eigenvalues come in rising order
    turned = torch.linalg.eigh(within @ within.mT)[1][..., -rank:].flip(-1)
    return basis @ turned


def directions(
    gradient: Tensor, rank: int, side: str, decomposition: str
) -> tuple[Tensor | None, Tensor | None]:
    """The first ``rank`` left and right singular vectors, as far as they are projected on.

    For an m by n gradient P of shape (m, rank) and Q of shape (n, rank); of each in a stack.
    """
    by_rows, by_columns = sides_of(gradient.shape, side)
    rows = leading(gradient, rank, decomposition) if by_rows else None
    columns = leading(gradient.mT, rank, decomposition) if by_columns else None
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
            direction = self.direction(gradient, state, group)
            parameter.sub_(direction, alpha=group["lr"])
            return
        if state.get("step", 0) % group["update_gap"] == 0:
            rows, columns = directions(gradient, rank, group["side"], group["decomposition"])
            found = {"rows": rows, "columns": columns}
            kept = {
                name: each.to(gradient.dtype) for name, each in found.items() if each is not None
            }
            state.update({name: each.contiguous() for name, each in kept.items()})
        small = gradient
        if "rows" in state:
            small = state["rows"].mT @ small
        if "columns" in state:
            small = small @ state["columns"]
        step = self.direction(small, state, group)
        if "rows" in state:
            step = state["rows"] @ step
        if "columns" in state:
            step = step @ state["columns"].mT
        parameter.sub_(step, alpha=group["lr"] * group["scale"])

    def direction(
        self, gradient: Tensor, state: MutableMapping[str, Any], group: MutableMapping[str, Any]
    ) -> Tensor:
        """Adam's direction for a gradient that is projected, or is not."""
        return adam(gradient, state, group["betas"], group["epsilon"])
