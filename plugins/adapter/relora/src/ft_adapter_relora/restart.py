"""A restart: the update goes into the base, and the optimizer forgets most of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from ft.api import Run

MOMENTS = frozenset({"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"})
"""What optimizers call the averages of a gradient that zero stands for 'nothing yet' in."""


def restart(run: Run, seed: int, prune: float) -> None:
    """Add each update to its weight, start A and B anew, and prune the state of both."""
    with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(seed)
        for layer in run.model.modules():
            if not isinstance(layer, LoraLayer):
                continue
            layer.merge(adapter_names=["default"])
            layer.merged_adapters.clear()  # what is in the weight stays there
            layer.reset_lora_parameters("default", True)
            for name, parameter in layer.named_parameters():
                if name.startswith("lora_"):
                    prune_state(run.optimizer, parameter, prune)


def prune_state(optimizer: Any, parameter: Tensor, share: float) -> None:
    """Set ``share`` of each moment to zero, the smallest numbers first.

    State of another form, in 8 bits say or a copy of the weight, is dropped as a whole.
    """
    state = optimizer.state.get(parameter)
    if not state:
        return
    large = {k: v for k, v in state.items() if isinstance(v, Tensor) and v.numel() > 1}
    if not all(
        name in MOMENTS and value.is_floating_point() and value.shape == parameter.shape
        for name, value in large.items()
    ):
        del optimizer.state[parameter]
        return
    for value in large.values():
        dropped = round(share * value.numel())
        smallest = value.abs().flatten().topk(dropped, largest=False).indices
        value.view(-1)[smallest] = 0


def save_base(run: Run, moved: Mapping[str, Tensor], folder: Path, name: str) -> None:
    """Write the base as it has become, and have the adapter say that it belongs to that."""
    base: Any = run.load_base()
    parameters = dict(base.named_parameters())
    with torch.no_grad():
        for key, weight in moved.items():
            own = key.removeprefix("base_model.model.").replace(".base_layer.", ".")
            parameters[own].copy_(weight)
    base.save_pretrained(folder / name)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    # not the model that training began with: the update does not fit that any more
    file.write_text(
        json.dumps(config | {"base_model_name_or_path": name}, indent=2), encoding="utf-8"
    )
