"""Algorithm 1 of the paper, with its clipping by value."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from torch import Tensor, nn

from ft.api.per_parameter import PerParameter


class FusedDescent(PerParameter):
    """A plain step along the gradient."""

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        if (bound := group["clip_value"]) is not None:
            gradient = gradient.clamp(-bound, bound)
        parameter.sub_(gradient, alpha=group["lr"])
