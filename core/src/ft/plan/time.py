"""The time of a micro batch: operations over the device's rate, bytes over its bandwidth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from ft.training.recompute import recomputable

if TYPE_CHECKING:
    from ft.api.estimate import Estimate
    from ft.plan.trace import Traced

READS = 1.5
"""Bytes read for each byte written by what lies between products."""
CALL = 6e-6
"""Seconds that the program takes to start an operation on an accelerator."""
NARROW = 700
"""Width of a model whose products reach half of the rate of large ones."""
CAUSAL = 0.5
"""Share of the pairs of a row that attention looks at."""


@dataclass(frozen=True, slots=True)
class Work:
    """Multiplied weights for each token: of frozen and of trained layers, and of all inside layers.

    ``attended`` is the width of all queries of all layers together, ``width`` that of the model.
    """

    frozen: int
    trained: int
    inside: int
    attended: int
    width: int


def count_work(model: nn.Module, config: object) -> Work:
    """The products of a whole model, by walking its linear layers."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    trained = sum(m.weight.numel() for m in linear if m.weight.requires_grad)
    every = sum(m.weight.numel() for m in linear)
    layers = recomputable(model)
    width = int(getattr(config, "hidden_size", 0)) or max(m.in_features for m in linear)
    inside = {id(m) for layer in layers for m in layer.modules() if isinstance(m, nn.Linear)}
    return Work(
        every - trained,
        trained,
        sum(m.weight.numel() for m in linear if id(m) in inside),
        len(layers) * width,
        width,
    )


def seconds(
    work: Work, estimate: Estimate, traced: Traced, rows: int, length: int, recomputed: int
) -> float:
    """Seconds of the forward and the backward pass of a micro batch of full rows."""
    device, tokens = estimate.device, rows * length
    again = recomputed / traced.depth
    # a frozen weight needs two products, of two operations a weight each; a trained one three
    frozen_rate = estimate.frozen_rate or device.rate
    share = work.frozen / max(work.frozen + work.trained, 1)
    products = tokens * (
        (4 * work.frozen + 2 * again * work.inside * share) / frozen_rate
        + (6 * work.trained + 2 * again * work.inside * (1 - share)) / device.rate
    )
    pairs = tokens * length * (1.0 if estimate.dense_mask else CAUSAL)
    attention = 4 * pairs * work.attended * (3.5 + again) / device.rate
    now = traced.at(rows)
    between = traced.depth * (now.made + again * now.forward_made) * estimate.traffic
    reached = work.width / (work.width + NARROW)
    busy = (products + attention) / reached + (1 + READS) * between / device.bandwidth
    calls = traced.depth * (now.calls + again * now.forward_calls) * estimate.traffic
    return max(busy, CALL * calls)  # the device waits for a program that is slower than it
