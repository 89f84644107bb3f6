"""LoRA, and the base class of methods that start it elsewhere."""

from __future__ import annotations

from ft_adapter_lora.inputs import look_at_inputs
from ft_adapter_lora.lora import Lora
from ft_adapter_lora.reading import columns, product
from ft_adapter_lora.start import StartedLayer, StartedLora, split, started_layers

__all__ = [
    "Lora",
    "StartedLayer",
    "StartedLora",
    "adapter",
    "columns",
    "look_at_inputs",
    "product",
    "split",
    "started_layers",
]

adapter = Lora()
