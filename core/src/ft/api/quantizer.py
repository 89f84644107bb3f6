"""Kind ``quantizer``: base weights in fewer bits."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Quantizer(Plugin):
    """A quantization of the base weights.

    A subclass implements :func:`ft_quantization_config` for quantization on load, or
    :func:`ft_prepare_model` and :func:`ft_finish_model` for one that is trained through.
    """

    kind = "quantizer"
    provides = frozenset({"quantized-base"})
