"""Kind ``quantizer``: base weights in fewer bits."""

from __future__ import annotations

from typing import ClassVar

from ft.api.plugin import Plugin


class Quantizer(Plugin):
    """A quantization of the base weights.

    A subclass implements :func:`ft_quantization_config` for quantization on load, or
    :func:`ft_prepare_model` and :func:`ft_finish_model` for one that is trained through.
    """

    kind = "quantizer"
    provides = frozenset({"quantized-base"})

    drift: ClassVar[float] = 0.1
    """How far quantizing may move the logits of a random model, as the root mean square of the
    difference over that of the logits."""

    def bits_per_weight(self) -> float:
        """Bits that one quantized weight takes in memory with these options, scales included."""
        raise NotImplementedError
