"""What a teacher said before, as it stands in a row of data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ft.api import Conversation, Encoded, InputError

if TYPE_CHECKING:
    from torch import Tensor

TOP = "top"
IDS, LOG_PROBS = "top_ids", "top_log_probs"
Top = list[list[tuple[int, float]]]
"""For each trained token of a row the teacher's likeliest tokens."""


def read_top(example: Conversation, row: Encoded, vocabulary: int) -> Top:
    """The columns of an example. Raises :class:`InputError` where they do not fit its tokens."""
    ids, log_probs = (example.extra.get(column) for column in (IDS, LOG_PROBS))
    where = str(example.origin) if example.origin else None
    trained = sum(weight > 0 for weight in row.weights[1:])
    for column, value in ((IDS, ids), (LOG_PROBS, log_probs)):
        if not isinstance(value, list) or not all(isinstance(one, list) for one in value):
            raise InputError(
                f"{column} is no list of lists, and trainer.stored is set",
                where=where,
                hint="give one list for each trained token, or name a teacher",
            )
        if len(value) != trained:
            raise InputError(
                f"{column} has {len(value)} entries, and the row has {trained} trained tokens",
                where=where,
                hint="the teacher has to have read the row as it is rendered here: `ft data show` "
                "prints it token by token",
            )
    found: Top = []
    for number, (some, said) in enumerate(zip(ids or (), log_probs or (), strict=True)):
        if len(some) != len(said) or not some:
            raise InputError(
                f"{IDS}[{number}] has {len(some)} tokens and {LOG_PROBS}[{number}] {len(said)} "
                "values",
                where=where,
            )
        if not all(0 <= token < vocabulary for token in some) or max(said) > 1e-3:
            raise InputError(
                f"entry {number} has an id beyond the vocabulary of {vocabulary:,}, or a "
                "log-probability above 0",
                where=where,
            )
        found.append(list(zip(some, said, strict=True)))
    return found


def collate_top(rows: Sequence[Any]) -> Tensor:
    """Ids and log-probabilities of all trained tokens, float64 of shape (N, k, 2).

    The id is -1 where a token has fewer than the others.
    """
    import torch

    tokens = [token for row in rows for token in row]
    width = max((len(token) for token in tokens), default=1)
    filled = [[*token, *[(-1, 0.0)] * (width - len(token))] for token in tokens]
    return torch.tensor(filled, dtype=torch.float64).reshape(-1, width, 2)
