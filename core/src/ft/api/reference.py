"""The model as it was before the first step, for methods that hold the trained one near it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from ft.api.run import Run


class Reference:
    """The model as it was before the first step.

    Made in :func:`ft_add_modules` and no later: a run that resumes puts its checkpoint's
    weights back afterwards. The trained model itself stands in where the adapter can bring the
    first weights back (a fresh LoRA that is switched off), and a frozen copy otherwise.
    """

    def __init__(self, run: Run):
        self._copy = run.frozen_copy() if run.initial_weights() is None else None

    @contextmanager
    def asked(self, run: Run, model: nn.Module) -> Iterator[nn.Module]:
        """The reference to ask inside of the context: without dropout and without a graph.

        ``model`` is the one that trains, as :func:`ft_compute_loss` gets it.
        """
        import torch

        held = run.initial_weights() if self._copy is None else None
        asked = model if self._copy is None else self._copy
        training = asked.training
        asked.eval()
        try:
            with torch.no_grad(), held or nullcontext():
                yield asked
        finally:
            asked.train(training)
