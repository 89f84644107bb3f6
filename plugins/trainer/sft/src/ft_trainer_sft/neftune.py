"""NEFTune: noise on the embeddings while training (Jain et al., 2023, arXiv:2310.05914)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Batch, InputError, Run

if TYPE_CHECKING:
    from torch import Tensor, nn


class EmbeddingNoise:
    """Adds uniform noise of ±alpha / sqrt(L d) to each embedding, L the length of its document.

    The paper's L is the length of a sequence. Here it is that of the document that a token
    belongs to, without padding, so that neither packing nor the other rows of a batch change
    the noise. Numbers are drawn from torch's generator of the device, which checkpoints keep.
    """

    def __init__(self, alpha: float):
        self.alpha = alpha
        self._lengths: Tensor | None = None

    def attach(self, model: nn.Module) -> None:
        """Have the input embeddings of ``model`` add the noise in training mode.

        Raises :class:`InputError` where the model does not say which module these are.
        """
        find = getattr(model, "get_input_embeddings", None)
        embeddings = find() if find is not None else None
        if embeddings is None:
            raise InputError(
                "this model does not name its input embeddings, which trainer.neftune adds noise to"
            )
        embeddings.register_forward_hook(self._add)

    def begin(self, run: Run, batch: Batch) -> None:
        """Note the lengths of the documents that go into the next forward pass."""
        self._lengths = document_lengths(batch, run.pad_id)

    def _add(self, module: nn.Module, inputs: tuple[Any, ...], embedded: Tensor) -> Tensor | None:
        import torch

        lengths, self._lengths = self._lengths, None
        if not module.training or lengths is None or lengths.shape != embedded.shape[:-1]:
            return None
        bound = self.alpha / (lengths * embedded.shape[-1]).clamp(min=1).sqrt()
        bound = bound.masked_fill(lengths == 0, 0.0)[..., None].to(embedded.dtype)
        return embedded + torch.empty_like(embedded).uniform_(-1, 1) * bound


def document_lengths(batch: Batch, pad_id: int) -> Tensor:
    """For each token how many its document has, float32 of the shape of ``input_ids``; 0: padding.

    Rows are documents where there is an attention mask. In packed rows one begins at each
    position 0; one of padding alone, which fills a row, has length 0.
    """
    import torch

    ids = batch["input_ids"]
    mask = batch.get("attention_mask")
    if mask is not None:
        return (mask.sum(-1, keepdim=True) * mask).float()
    positions = batch.get("position_ids")
    if positions is None:
        return torch.full(ids.shape, float(ids.shape[-1]), device=ids.device)
    number = (positions == 0).reshape(-1).cumsum(0) - 1
    count = torch.zeros(number.numel(), device=ids.device)
    tokens = count.index_add(0, number, torch.ones_like(count))
    written = count.index_add(0, number, (ids != pad_id).reshape(-1).float())
    return (tokens * (written > 0))[number].reshape(ids.shape)
