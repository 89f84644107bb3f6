"""Cross-entropy and output layer in one, a slice of the tokens at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Batch, Estimate, Field, Kernel, PluginOptions, Run, TokenLosses, hookimpl

if TYPE_CHECKING:
    from torch import nn


class FusedLoss(Kernel):
    """The logits of all tokens are never there at once.

    A vocabulary of 128,000 makes 256 kB of logits of each token, and as much again for their
    gradient. Here a slice of the tokens goes through the output layer, its losses and the
    gradient of its hidden states are taken, and its logits are overwritten by the next (the idea
    of Cut Cross-Entropy, Wijmans et al., 2024, arXiv:2411.09009, with matrix products left to
    the library). A frozen output layer costs no extra product; one that trains is multiplied
    once more backward.
    """

    provides = frozenset({"loss-kernel"})

    class Options(PluginOptions):
        slice: int | None = Field(
            None, gt=0, description="tokens at a time; unset: as many as make 1 GB of logits"
        )

    @hookimpl
    def ft_token_losses(
        self, run: Run, model: nn.Module, batch: Batch, label_smoothing: float
    ) -> TokenLosses | None:
        from ft_kernel_fused_loss.sliced import sliced_losses

        found = run.predictions(model, batch)
        if found is None:
            return None
        losses = sliced_losses(
            found.states, found.head, found.targets, label_smoothing, self.options.slice
        )
        return TokenLosses(losses, found.weights, found.documents, found.outputs)

    @hookimpl
    def ft_estimate(self, estimate: Estimate) -> None:
        from ft_kernel_fused_loss.sliced import LOGITS

        head = estimate.model.get_output_embeddings()  # type: ignore[operator]
        rows = self.options.slice
        # in the 16 bits that an accelerator computes them in
        estimate.loss_bytes = LOGITS if rows is None else rows * head.weight.shape[0] * 2


kernel = FusedLoss()
