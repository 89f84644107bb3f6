"""Kind ``kernel``: faster forms of the model's operations."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Kernel(Plugin):
    """A replacement for operations of the model.

    It changes the configuration (:func:`ft_patch_config`), the loaded model
    (:func:`ft_patch_model`), or hands each forward pass further arguments
    (:func:`ft_forward_arguments`). Two that provide the same exclusive capability exclude
    each other.
    """

    kind = "kernel"
    accepts = frozenset({"packing", "gradient-checkpointing"})
