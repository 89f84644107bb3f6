"""Kind ``adapter``: what of the model is trained, and the form in which that is saved."""

from __future__ import annotations

from typing import ClassVar

from ft.api.plugin import Plugin


class Adapter(Plugin):
    """A way to train a model: all of it, a part of it, or an addition to it.

    A subclass implements :func:`ft_adapt_model`, and where its result is not a whole model
    also :func:`ft_save_model`, :func:`ft_restore_model` and :func:`ft_merge_model`.
    """

    kind = "adapter"

    merge_tolerance: ClassVar[float] = 1e-4
    """How far merging may move the logits, as the root mean square of the difference over that
    of the logits, in float32."""
    accepts = frozenset({"packing"})
