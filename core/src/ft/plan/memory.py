"""The peak of a training step's memory, term by term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ft.plan.shapes import QuantizedLinear
from ft.plan.update import Update, trace_update

if TYPE_CHECKING:
    from torch import nn

    from ft.api import Run
    from ft.api.estimate import Estimate
    from ft.plan.trace import Traced

WORKSPACE = 0.1e9
"""Bytes that libraries of matrix products hold on an accelerator."""
SLACK = 0.04
"""Share of the activations that comes on top where layers run operation by operation: rounding,
and what operations of an accelerator keep beside those that were traced."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes of the model before it is cut short, and of what the optimizer has for it."""

    frozen: float
    trained: float
    update: Update
    extra: float


def weigh(run: Run, model: nn.Module) -> Weights:
    """Count the weights of ``model``; quantized ones at the bits that the quantizer states.

    ``extra`` is the number of quantized weights over 8: the bytes of one more bit of each.
    """
    quantizer = run.part("quantizer")
    quantized = {
        id(module.weight): module.weight
        for module in model.modules()
        if isinstance(module, QuantizedLinear)
    }
    own = [
        tensor for tensor in (*model.parameters(), *model.buffers()) if id(tensor) not in quantized
    ]
    frozen = sum(t.numel() * t.element_size() for t in own if not t.requires_grad)
    few = sum(weight.numel() for weight in quantized.values())
    if few:
        frozen += few * quantizer.bits_per_weight() / 8
    trained = [tensor for tensor in own if tensor.requires_grad]
    size = sum(tensor.numel() * tensor.element_size() for tensor in trained)
    return Weights(frozen, size, trace_update(run, model), few / 8)


def terms(
    weights: Weights,
    estimate: Estimate,
    traced: Traced,
    rows: int,
    recomputed: int,
    *,
    accumulating: bool,
    half: bool,
) -> dict[str, float]:
    """Bytes at the fullest moment of a step, by what they are for.

    ``rows`` are those of a micro batch, ``recomputed`` how many layers recompute. ``half`` says
    whether frozen weights, and so what runs between layers, are in 16 bits. The moment is
    whichever is fullest: the loss, the start of the backward pass, the last layer that is
    recomputed, or the optimizer's step.
    """
    now = traced.at(rows)
    layer, share = now.layer, 1.0 if half else 0.5
    if not estimate.keeps_wide:
        layer -= now.wide * share
    layer *= estimate.kept
    kept = traced.depth - recomputed
    held = {
        "frozen weights": weights.frozen + weights.extra * estimate.extra_bits,
        "trained weights": weights.trained,
        "optimizer state": weights.update.state,
        "copies by kernels": traced.copies,
        "gradients": weights.update.gradients if accumulating else 0.0,
    }
    # one that recomputes keeps its input; the output of the last layer counts as its own
    entries = (min(recomputed, 2) if estimate.inputs_away else recomputed) * now.entry
    around = now.around + (0.0 if recomputed else now.first) + (0.0 if kept else now.entry)
    moments = [
        {
            "activations kept": kept * layer + around,
            "inputs of recomputed layers": entries + recomputed * traced.casts,
            "output layer and loss": now.loss,
        },
        {
            "activations kept": kept * layer + around,
            "inputs of recomputed layers": entries,
            "backward pass": now.backward,
        },
        {"gradients": weights.update.gradients, "optimizer's step": weights.update.passing},
    ]
    if recomputed:
        moments.append(
            {
                "activations kept": layer + around,
                "inputs of recomputed layers": entries,
                "backward pass": now.backward,
                "gradients": weights.update.gradients * kept / traced.depth,
            }
        )
    fullest = max(moments, key=lambda moment: sum(({**held, **moment}).values()))
    found = {**held, **fullest}
    passing = found.get("activations kept", 0.0) + found.get("inputs of recomputed layers", 0.0)
    on_cpu = estimate.device.type == "cpu"
    found["workspace and slack"] = (0.0 if on_cpu else WORKSPACE) + (
        SLACK * passing if estimate.keeps_wide and not on_cpu else 0.0
    )
    return {name: size for name, size in found.items() if size}


def is_half(run: Run) -> bool:
    """Whether the weights are loaded in 16 bits."""
    return run.weight_dtype in (torch.bfloat16, torch.float16)
