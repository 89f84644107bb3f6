"""Prompts with the answers to other prompts: what KTO's reference point is estimated from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ft.api import Batch

if TYPE_CHECKING:
    from torch import Tensor


def mismatched(batches: Sequence[Batch], pad_id: int, max_length: int) -> list[Batch]:
    """The padded batches with each prompt followed by the answer of the row before it.

    The first prompt gets the last answer, over all batches; rows without a trained token are
    left out with their batch. Media belong to prompts and stay. Nothing comes of a single row,
    whose only answer is its own.
    """
    batches = [batch for batch in batches if bool((batch["weights"] > 0).any())]
    prompts = [row for batch in batches for row in _rows(batch, answers=False)]
    answers = [row for batch in batches for row in _rows(batch, answers=True)]
    if len(answers) < 2:
        return []
    joined = iter(_joined(prompts, [answers[-1], *answers[:-1]], max_length))
    return [_batch(batch, [next(joined) for _ in batch["input_ids"]], pad_id) for batch in batches]


Row = dict[str, "Tensor"]
"""The columns of one row, each of shape (length,)."""


def _rows(batch: Batch, *, answers: bool) -> Iterator[Row]:
    """The rows of a batch without padding: their answers alone, or what comes before."""
    shape = batch["input_ids"].shape
    columns = {
        name: tensor
        for name, tensor in batch.items()
        if getattr(tensor, "shape", None) == shape and name not in ("labels", "predicts")
    }
    starts = (batch["weights"] > 0).int().argmax(-1).tolist()
    ends = batch["attention_mask"].sum(-1).tolist()
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        part = slice(start, end) if answers else slice(0, start)
        yield {name: column[row, part] for name, column in columns.items()}


def _joined(prompts: Sequence[Row], answers: Sequence[Row], max_length: int) -> Iterator[Row]:
    import torch

    for prompt, answer in zip(prompts, answers, strict=True):
        yield {
            name: torch.cat((column, answer[name]))[:max_length] for name, column in prompt.items()
        }


def _batch(batch: Batch, rows: Sequence[Row], pad_id: int) -> Batch:
    """A batch with other rows, and what else the given one has for the model."""
    from torch.nn.utils.rnn import pad_sequence

    made = {
        name: pad_sequence(
            [row[name] for row in rows],
            batch_first=True,
            padding_value=pad_id if name == "input_ids" else 0,
        )
        for name in rows[0]
    }
    made["labels"] = made["input_ids"].where(made["weights"] > 0, -100)
    dropped = {"labels", "predicts", "real_tokens", *made}
    return {**{name: value for name, value in batch.items() if name not in dropped}, **made}
