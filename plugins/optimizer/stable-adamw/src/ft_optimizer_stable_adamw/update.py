"""Algorithm 2 of the paper."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from torch import Tensor, nn

from ft.api.per_parameter import PerParameter, adam


class ClippedAdamW(PerParameter):
    """AdamW with lr / max(1, RMS), where RMS is that of gradient over root of second moment."""

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        direction = adam(gradient, state, group["betas"], group["epsilon"])
        square = state["exp_avg_sq"] / (1 - group["betas"][1] ** state["step"])
        ratio = gradient.square().div_(square.clamp_(min=group["epsilon"] ** 2))
        # on the device: to ask for the number would wait for it at every tensor
        surprise = ratio.float().mean().sqrt_().clamp_(min=1)
        parameter.sub_(direction.div_(surprise), alpha=group["lr"])
