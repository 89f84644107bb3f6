"""Embeddings by contrast (InfoNCE, van den Oord et al., 2018, arXiv:1807.03748)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ft.api import (
    Batch,
    Encoded,
    Field,
    InputError,
    Loss,
    Run,
    Similar,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.api.heads import freeze_output_layer, last_states
from ft.api.preference import counted

if TYPE_CHECKING:
    from torch import Tensor, nn

ANCHOR, POSITIVE, NEGATIVE = "anchor", "positive", "negative_{number}"


class Embedding(Trainer):
    """Brings texts that belong together close to each other, and away from all others.

    The embedding of a text is the hidden state of its last token, or the mean of all, at length 1.
    The loss of a row is the cross-entropy of picking its positive, by cosine, among the positives
    and negatives of all rows of the step.

    All rows of a step, also where it is cut into micro batches: they are embedded once without a
    graph, and each micro batch is then sent the gradient that the whole step has for it
    (arXiv:2101.06983). So `batch_size` may be as large as the method likes, and memory decides
    `micro_batch_size` alone, for one more forward pass. Each of several processes contrasts its
    own rows. A model with dropout is the exception: the two passes draw other numbers.

    The result is the model; its embeddings are those of transformers' `AutoModel` with the same
    pooling.
    """

    paper = "arXiv:1807.03748"
    takes = (Similar,)
    contrasts = True
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 2e-5}, "trackers": ["jsonl"]}
    training_options = Trainer.training_options | {"temperature", "pooling"}

    class Options(TrainerOptions):
        temperature: float = Field(0.05, gt=0, description="by which cosines are divided")
        pooling: Literal["last", "mean"] = Field(
            "last", description="the hidden state of the last token, or the mean of all"
        )
        negatives: int = Field(
            0, ge=0, description="texts of each row's own that do not belong; each must have them"
        )
        over_length: Literal["drop", "truncate", "error"] = Field(
            "truncate", description="what happens to a longer row: cut, left out, or an error"
        )

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Similar]) -> list[dict[str, Encoded]]:
        wanted = self.options.negatives
        for example in examples:
            if len(example.negatives) < wanted:
                raise InputError(
                    f"the row has {len(example.negatives)} negatives, and trainer.negatives is "
                    f"{wanted}",
                    where=str(example.origin),
                    hint="give it more, or ask for fewer",
                )
        columns = {ANCHOR: [e.anchor for e in examples], POSITIVE: [e.positive for e in examples]}
        for number in range(wanted):
            columns[NEGATIVE.format(number=number)] = [e.negatives[number] for e in examples]
        encoded = {name: run.encode_text(texts) for name, texts in columns.items()}
        return [
            {name: _whole(rows[place]) for name, rows in encoded.items()}
            for place in range(len(examples))
        ]

    @hookimpl
    def ft_add_modules(self, model: nn.Module) -> None:
        freeze_output_layer(model)

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(counted(batch[ANCHOR]).sum())

    @hookimpl
    def ft_make_batches(
        self, run: Run, model: nn.Module, batches: list[Batch]
    ) -> list[list[Batch]]:
        import torch

        if len(batches) == 1:
            return [batches]
        with torch.no_grad(), run.autocast():
            parts = [self._embedded(run, model, batch) for batch in batches]
        with torch.enable_grad():
            leaves = [part.requires_grad_() for part in parts]
            losses, right = self._contrast(torch.cat(leaves, 1), torch.cat(_counts(batches)))
            gradients = torch.autograd.grad(losses.sum(), leaves)
        made, start = [], 0
        for batch, gradient in zip(batches, gradients, strict=True):
            own = slice(start, start := start + gradient.shape[1])
            found = torch.stack((losses[own].detach().sum(), right[own].sum()))
            made.append({**batch, "gradient": gradient, "found": found})
        return [made]

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        embedded = self._embedded(run, model, batch)
        if "gradient" not in batch:  # the batch is the whole step
            losses, right = self._contrast(embedded, counted(batch[ANCHOR]))
            return Loss(losses.sum(), {"accuracy": right.sum()})
        loss, right = batch["found"]
        # its value is that of the loss, and its gradient the one that the step has for these rows
        sent = (embedded * batch["gradient"]).sum()
        return Loss(sent - sent.detach() + loss, {"accuracy": right})

    def _embedded(self, run: Run, model: nn.Module, batch: Batch) -> Tensor:
        """The embeddings of each column's texts, float32 of shape (columns, rows, width)."""
        import torch
        from torch.nn.functional import normalize

        found = []
        for texts in (column for column in batch.values() if isinstance(column, dict)):
            if self.options.pooling == "last":
                states = last_states(run, model, texts).float()
            else:
                mask = texts["attention_mask"][..., None].float()
                states = (run.hidden_states(model, texts).float() * mask).sum(1) / mask.sum(1)
            found.append(normalize(states, dim=-1))
        return torch.stack(found)

    def _contrast(self, embedded: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each row, and whether its positive is the closest, each of shape (rows,).

        Rows that do not count are nobody's negatives.
        """
        import torch
        from torch.nn.functional import cross_entropy

        anchors, others = embedded[0], embedded[1:].flatten(0, 1)
        with torch.autocast(anchors.device.type, enabled=False):
            cosines = anchors @ others.T
        left_out = counts.repeat(len(embedded) - 1) == 0
        own = torch.arange(len(anchors), device=anchors.device)
        left_out = left_out[None] & (own[:, None] != torch.arange(len(others), device=own.device))
        logits = (cosines / self.options.temperature).masked_fill(left_out, -torch.inf)
        losses = cross_entropy(logits, own, reduction="none") * counts
        return losses, (logits.argmax(-1) == own).float() * counts


def _counts(batches: Sequence[Batch]) -> list[Tensor]:
    return [counted(batch[ANCHOR]) for batch in batches]


def _whole(row: Encoded) -> Encoded:
    """The row with a weight for each token: none is trained on, and all of it counts."""
    return replace(row, weights=[1.0] * len(row))


trainer = Embedding()
