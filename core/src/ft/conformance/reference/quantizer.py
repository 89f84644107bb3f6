"""The reference quantizer: 8-bit weights with one scale for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Int8(Quantizer):
    """Rounds the weights of linear layers, the output layer left out."""

    drift = 0.05

    def bits_per_weight(self) -> float:
        return 8.1  # a float32 scale for each row of some hundreds of weights

    @hookimpl
    def ft_prepare_model(self, run: Run, model: Any) -> None:
        from torch import nn

        model.requires_grad_(False)
        head = model.get_output_embeddings()
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and module is not head:
                parent, _, attribute = name.rpartition(".")
                setattr(model.get_submodule(parent), attribute, self.quantized(module))

    def quantized(self, linear: nn.Linear) -> nn.Module:
        """The same layer with 8-bit weights; gradients reach its input alone."""
        from ft.conformance.reference.int8 import Int8Linear

        return Int8Linear(linear)


quantizer = Int8()
