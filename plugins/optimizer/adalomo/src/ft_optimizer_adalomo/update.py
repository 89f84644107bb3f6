"""Algorithm 1 of the paper, whose decay follows Adafactor (arXiv:1804.04235)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from ft.api.per_parameter import PerParameter

LEAST_SQUARE, LEAST_RMS = 1e-30, 1e-3
"""Added to squared gradients, and the RMS that a tensor is taken to have at least."""


class FusedAdaptive(PerParameter):
    """g / root of the second moment, normalized to the RMS of the tensor."""

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        state["step"] = state.get("step", 0) + 1
        fresh = state["step"] ** group["decay_rate"]
        wide = gradient.float()
        square = wide.square().add_(LEAST_SQUARE)
        if parameter.ndim < 2:
            root = _mean(state, "square", square, fresh).sqrt()
        else:
            rows = _mean(state, "rows", square.mean(-1, keepdim=True), fresh)
            columns = _mean(state, "columns", square.mean(-2, keepdim=True), fresh)
            root = (rows / rows.mean(-2, keepdim=True)).sqrt() * columns.sqrt()
        step = wide / root.clamp_(min=LEAST_SQUARE)
        step /= (_rms(step) / group["clip_threshold"]).clamp(min=1)
        step *= _rms(parameter.float()).clamp(min=LEAST_RMS)
        parameter.sub_(step.to(parameter.dtype), alpha=group["lr"])


def _mean(state: MutableMapping[str, Any], name: str, value: Tensor, fresh: float) -> Tensor:
    """The running mean under a name, after ``fresh`` of ``value`` has come to it.

    Squares of small gradients need the range of float32 rather than its precision, which
    bfloat16 has as well.
    """
    if name not in state:
        state[name] = torch.zeros_like(value)
    return state[name].lerp_(value.to(state[name].dtype), fresh).float()


def _rms(tensor: Tensor) -> Tensor:
    return tensor.square().mean().sqrt()
