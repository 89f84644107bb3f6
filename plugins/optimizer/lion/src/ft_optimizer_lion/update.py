"""Algorithm 2 of the paper."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api.per_parameter import PerParameter


class SignOfMomentum(PerParameter):
    """sign(b1 m + (1 - b1) g), and then m = b2 m + (1 - b2) g."""

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum, (near, far) = state["momentum"], group["betas"]
        parameter.sub_(torch.lerp(gradient, momentum, near).sign_(), alpha=group["lr"])
        momentum.lerp_(gradient, 1 - far)
