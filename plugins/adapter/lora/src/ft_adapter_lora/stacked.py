"""B A - B0 A0 as one LoRA of twice the rank: [B, -B0] [A; A0]."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def stack(folder: Path, started: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Add the start of each layer to a saved LoRA, which then belongs to the unchanged base."""
    import torch
    from safetensors.torch import load_file, save_file

    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    for name, (b, a) in started.items():
        for key, part, dim in ((f"{name}.lora_B.weight", -b, 1), (f"{name}.lora_A.weight", a, 0)):
            tensors[key] = torch.cat([tensors[key], part.to(tensors[key])], dim).contiguous()
    save_file(tensors, file, metadata={"format": "pt"})
    text = folder / "adapter_config.json"
    config = json.loads(text.read_text(encoding="utf-8"))
    # alpha / rank, or alpha / sqrt(rank), stays what it was
    factor = 2**0.5 if config["use_rslora"] else 2
    config["r"] *= 2
    config["lora_alpha"] *= factor
    config["rank_pattern"] = {k: 2 * v for k, v in (config["rank_pattern"] or {}).items()}
    config["alpha_pattern"] = {k: factor * v for k, v in (config["alpha_pattern"] or {}).items()}
    text.write_text(json.dumps(config, indent=2), encoding="utf-8")


def unstack(lora: Any) -> tuple[Tensor, Tensor]:
    """Leave B and A in a layer that was loaded with both; returns B0 and A0."""
    down, up = lora.lora_A["default"], lora.lora_B["default"]
    a, a0 = (part.clone() for part in down.weight.chunk(2, 0))
    b, b0 = (part.contiguous() for part in up.weight.chunk(2, 1))
    down.weight.data, up.weight.data = a, b
    lora.r["default"] = down.out_features = up.in_features = len(a)
    return -b0, a0
