"""Kind ``kernel``: faster forms of the model's operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor


class Kernel(Plugin):
    """A replacement for operations of the model.

    It changes the configuration (:func:`ft_patch_config`), the loaded model
    (:func:`ft_patch_model`), or hands each forward pass further arguments
    (:func:`ft_forward_arguments`). Two that provide the same exclusive capability exclude
    each other.

    A kernel computes what the model does, and faster. One whose attention is another function
    while training provides ``approximate-attention`` and states that function in
    :meth:`reference_attention`; in evaluation mode it computes what the model does.

    One that computes the loss (:func:`ft_token_losses`) provides ``loss-kernel``, and leaves
    ``label-smoothing`` out of what it accepts where it cannot do that.
    """

    kind = "kernel"
    same_shapes = False
    """Whether it takes long where a batch has another shape than the last. Packed batches are
    filled up to ``max_length`` and to the micro batch then, by documents without weight."""
    accepts = frozenset({"packing", "gradient-checkpointing", "label-smoothing"})

    def reference_attention(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float
    ) -> Tensor:
        """The attention that an ``approximate-attention`` kernel trains with, written out.

        Shapes are (rows, heads, length, width), with as many heads of keys and values as of
        queries; ``mask`` is boolean, (rows, 1, length, length), true where the model's own
        attention would look. Returns (rows, heads, length, width). Clear rather than fast: the
        conformance kit compares the kernel with it.
        """
        raise NotImplementedError(f"{self!r} does not state what its attention computes")
