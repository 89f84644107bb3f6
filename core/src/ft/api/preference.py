"""Helpers for trainers that learn from preferences and verdicts.

They encode answers so that only the answer is trained on, and say how likely a model finds each
of them. The model from before the first step is :class:`ft.api.reference.Reference`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ft.api._markers import hookimpl
from ft.api.examples import Conversation, Feedback, Message, Preference
from ft.api.trainer import Trainer
from ft.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft.api.run import Run
    from ft.api.trainer import Batch, TokenLosses

SIDES = ("chosen", "rejected")
"""The names of a pair's batches."""


class PairTrainer(Trainer):
    """A method that learns from pairs of a better and a worse answer.

    A subclass implements :func:`ft_compute_loss`, on a batch with one for each of
    :data:`SIDES`; its units are pairs.
    """

    takes = (Preference,)
    accepts = Trainer.accepts | {"streaming"}

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Preference]) -> list[dict[str, Any]]:
        return encode_pairs(run, examples)

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(counted(batch["chosen"]).sum())


# -- encoding ------------------------------------------------------------------------------


def encode_pairs(run: Run, examples: Sequence[Preference]) -> list[dict[str, Any]]:
    """Prompt and answer of both sides of each pair, under ``chosen`` and ``rejected``.

    Raises :class:`ft.api.InputError` with file and row for an empty answer, and for two sides
    that come to the same tokens.
    """
    sides = {
        side: run.tokenize([run.render(answered(e, getattr(e, side), side)) for e in examples])
        for side in SIDES
    }
    rows = [dict(zip(sides, pair, strict=True)) for pair in zip(*sides.values(), strict=True)]
    for example, row in zip(examples, rows, strict=True):
        if list(row["chosen"].input_ids) == list(row["rejected"].input_ids):
            raise InputError("chosen and rejected are the same", where=str(example.origin))
    return rows


def answered(
    example: Preference | Feedback, answer: Sequence[Message], name: str = "answer"
) -> Conversation:
    """Prompt and one answer, of which only the answer is trained on.

    Raises :class:`ft.api.InputError` with file and row where the answer, which the message
    calls ``name``, says nothing at all.
    """
    written = [message for message in answer if message.role == "assistant"]
    if not any(m.text.strip() or m.tool_calls or m.reasoning or m.media for m in written):
        raise InputError(
            f"{name} is an empty answer",
            where=str(example.origin),
            hint="leave the row out, or write what should be answered",
        )
    prompt = [replace(message, train=False) for message in example.prompt]
    marked = [replace(m, train=True) if m.role == "assistant" else m for m in answer]
    return Conversation(
        [*prompt, *marked], example.tools, origin=example.origin, extra=example.extra
    )


# -- how likely answers are ----------------------------------------------------------------


@dataclass(slots=True)
class Likelihood:
    """How likely a model finds the answers of a micro batch.

    ``log_probs`` (float32, shape (rows,)) are the sums of log-probabilities of trained tokens,
    each times its weight; ``weights`` (float32, shape (rows,)) the sums of the weights, which
    are the tokens of an answer unless a message has a weight of its own.
    """

    log_probs: Tensor
    weights: Tensor

    @property
    def means(self) -> Tensor:
        """The mean log-probability of a trained token, shape (rows,); 0 without one."""
        return self.log_probs / self.weights.where(self.weights > 0, 1.0)


def likelihood(run: Run, model: nn.Module, batch: Batch) -> Likelihood:
    """How likely ``model`` finds each row of a padded batch."""
    tokens = run.token_losses(model, batch)
    rows = len(batch["input_ids"])
    return Likelihood(
        _row_sums(-tokens.losses * tokens.weights, tokens, rows),
        _row_sums(tokens.weights, tokens, rows),
    )


def _row_sums(values: Tensor, tokens: TokenLosses, rows: int) -> Tensor:
    return values.new_zeros(rows).index_add(0, tokens.documents, values)


def counted(batch: Batch) -> Tensor:
    """1.0 for each row of a padded batch that has a trained token and 0.0 for others.

    Float32 of shape (rows,): what a loss by rows or pairs is multiplied by, and whose sum are
    its units. A process without rows of its own gets one that does not count.
    """
    return (batch["weights"].sum(-1) > 0).float()
