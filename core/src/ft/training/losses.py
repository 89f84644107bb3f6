"""The cross-entropy of trained tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ft.api import Batch, InputError, Loss, Predictions, Run, TokenLosses

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PLAIN: MutableMapping[nn.Module, bool] = WeakKeyDictionary()
"""Output layers that were tried: whether what they give is what the model returns."""


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


def token_losses(
    run: Run, model: nn.Module, batch: Batch, label_smoothing: float = 0.0
) -> TokenLosses:
    """Cross-entropy of each token whose weight is above 0.

    The output layer, often the largest matrix of a small model, is applied at the positions
    before trained tokens only. A hook on its input does that, so that whatever the family
    does to its logits afterwards (scaling, soft-capping) stays in force. ``model`` may be
    another than the run's own, such as a reference. ``label_smoothing`` e makes a loss (1 - e)
    of itself and e of the mean of -log p over the vocabulary (Szegedy et al., 2016,
    arXiv:1512.00567).
    """
    from torch.nn import functional

    places = predicting_places(batch)
    seen: list[Tensor] = []

    def select(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        seen.append(at_places(args[0], batch, places))
        return (seen[0][None], *args[1:])

    with before_head(run, model, select):
        outputs = run.forward(model, batch)
    logits: Tensor = outputs.logits
    if not seen:  # no output layer, or one whose weights are used without calling it
        outputs.logits = logits = at_places(logits, batch, places)
    losses = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(),
        batch["input_ids"].flatten()[places + 1],
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return TokenLosses(losses, *_columns(batch, places), outputs)


def predictions(run: Run, model: nn.Module, batch: Batch) -> Predictions | None:
    """What the output layer would get, for a kernel that is one with that layer.

    The layer itself runs at a single position. The first time, the model's logits there are
    compared with what the layer gives: ``None`` for a model that changes them afterwards, or
    whose output layer is no plain linear layer.
    """
    import torch

    head = find_head(run, model)
    if type(head) is not torch.nn.Linear or PLAIN.get(head) is False:
        return None
    places = predicting_places(batch)
    seen: list[Tensor] = []

    def select(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        seen.extend((at_places(args[0], batch, places), args[0][:1, -1:]))
        return (seen[1], *args[1:])

    with before_head(run, model, select):
        outputs = run.forward(model, batch)
    if head not in PLAIN:
        with torch.no_grad():
            PLAIN[head] = bool(seen) and torch.allclose(
                head(seen[1]).float(), outputs.logits.float()
            )
    if not PLAIN[head]:
        return None
    targets = batch["input_ids"].flatten()[places + 1]
    return Predictions(seen[0], targets, *_columns(batch, places), head, outputs)


def hidden_states(run: Run, model: nn.Module, batch: Batch) -> Tensor:
    """What the output layer would get at each token, of shape (rows, length, width)."""
    seen: list[Tensor] = []

    def select(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        seen.append(args[0])
        return (args[0][:1, -1:], *args[1:])

    with before_head(run, model, select):
        run.forward(model, batch)
    if not seen:
        raise InputError(
            "this model does not call an output layer, in whose place a head could stand"
        )
    # virtual tokens in front of the sequence shift the positions
    return seen[0][:, seen[0].shape[1] - batch["input_ids"].shape[1] :]


def predicting_places(batch: Batch) -> Tensor:
    """The places before trained tokens, int64 of shape (N,), counted over all rows."""
    if "predicts" in batch:
        return batch["predicts"]
    follows = batch["weights"] > 0
    follows[:, 0] = False  # nothing stands before a row from which it could be predicted
    return follows.flatten().nonzero()[:, 0] - 1


def at_places(tensor: Tensor, batch: Batch, places: Tensor) -> Tensor:
    """The vectors of (rows, length, width) at ``places``, of shape (N, width)."""
    # virtual tokens in front of the sequence shift the positions
    shift = tensor.shape[1] - batch["input_ids"].shape[1]
    return tensor[:, shift:].flatten(0, 1)[places]


def _columns(batch: Batch, places: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and document numbers of the tokens after ``places``."""
    return (
        batch["weights"].flatten()[places + 1],
        document_numbers(batch).flatten()[places + 1],
    )


def find_head(run: Run, model: nn.Module) -> nn.Module | None:
    """The model's output layer, where it has one."""
    # a wrapper for several processes hides the method of the model inside
    owner = model if hasattr(model, "get_output_embeddings") else run.model
    find = getattr(owner, "get_output_embeddings", None)
    return find() if find else None


@contextmanager
def before_head(run: Run, model: nn.Module, select: Callable[..., Any]) -> Iterator[None]:
    """Forward with ``select`` as a hook on the input of the output layer."""
    head = find_head(run, model)
    hook = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


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
