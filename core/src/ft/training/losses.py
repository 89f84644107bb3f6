"""The cross-entropy of trained tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Batch, Loss, Run, TokenLosses

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def compute_loss(run: Run, model: nn.Module, batch: Batch, units: float) -> Loss:
    """The trainer's loss of a micro batch, with the terms that other plugins add."""
    loss: Loss = run.hook.ft_compute_loss(run=run, model=model, batch=batch)
    if loss.outputs is None:
        return loss
    arguments = {"run": run, "outputs": loss.outputs, "batch": batch}
    for _, extra in run.selection.each("ft_extra_loss", **arguments):
        if extra is not None:
            added = extra * units
            total = loss.metrics.get("extra_loss", 0.0) + added.detach()
            loss = Loss(loss.total + added, {**loss.metrics, "extra_loss": total}, loss.outputs)
    return loss


def token_losses(run: Run, model: nn.Module, batch: Batch) -> TokenLosses:
    """Cross-entropy of each token whose weight is above 0.

    The output layer, often the largest matrix of a small model, is applied at the positions
    before trained tokens only. A hook on its input does that, so that whatever the family
    does to its logits afterwards (scaling, soft-capping) stays in force. ``model`` may be
    another than the run's own, such as a reference.
    """
    import torch
    from torch.nn import functional

    weights = batch["weights"]
    # position t predicts token t + 1
    predicts = torch.zeros_like(weights, dtype=torch.bool)
    predicts[:, :-1] = weights[:, 1:] > 0
    follows = torch.zeros_like(predicts)
    follows[:, 1:] = predicts[:, :-1]

    width = weights.shape[1]
    selected = False

    def select(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal selected
        selected = True
        hidden = args[0]
        # virtual tokens in front of the sequence shift the positions
        return (hidden[:, hidden.shape[1] - width :][predicts][None], *args[1:])

    # a wrapper for several processes hides the method of the model inside
    owner = model if hasattr(model, "get_output_embeddings") else run.model
    find_head = getattr(owner, "get_output_embeddings", None)
    head = find_head() if find_head else None
    hook = head.register_forward_pre_hook(select) if head is not None else None
    try:
        outputs = run.forward(model, batch)
    finally:
        if hook is not None:
            hook.remove()
    logits: Tensor = outputs.logits
    if not selected:  # no output layer, or one whose weights are used without calling it
        logits = logits[:, logits.shape[1] - width :][predicts]
    losses = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), batch["input_ids"][follows], reduction="none"
    )
    return TokenLosses(losses, weights[follows], document_numbers(batch)[follows], outputs)


def document_numbers(batch: Batch) -> torch.Tensor:
    """For each token the number of its document, counted over the batch.

    Rows are documents, except in packed batches, where one begins at each position 0.
    """
    import torch

    ids = batch["input_ids"]
    positions = batch.get("position_ids")
    if positions is None or "attention_mask" in batch:
        return torch.arange(ids.shape[0], device=ids.device)[:, None].expand_as(ids)
    return (positions == 0).reshape(-1).cumsum(0).reshape(ids.shape) - 1
