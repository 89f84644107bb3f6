"""Losses that weigh tokens by what the model makes of them: DFT, ASFT and EAFT.

Weights are constants to the gradient. All of them are of shape (N,), for the N trained tokens of
a micro batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ft.api import Batch, InputError, Run, TokenLosses
from ft.api.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor, nn

WHOLE_PREDICTIONS = frozenset({"asft", "eaft"})
"""Losses of the whole prediction at a token, not of the probability of that token alone."""
LIKELIEST = 20
"""Tokens of which EAFT takes the entropy of a prediction."""


def by_probability(losses: Tensor) -> Tensor:
    """DFT (Wu et al., 2025, arXiv:2508.05629, eq. 9): the probability of each token."""
    return (-losses.detach()).exp()


def by_entropy(tokens: TokenLosses, power: float) -> Tensor:
    """EAFT (2026, arXiv:2601.02151): the entropy of each prediction, 0 to 1.

    Of its 20 likeliest tokens, as a share of the largest entropy that they can have.
    """
    likeliest = _logits(tokens).detach().float().topk(LIKELIEST).values.log_softmax(-1)
    entropy = -(likeliest.exp() * likeliest).sum(-1)
    return (entropy / math.log(LIKELIEST)).clamp(min=0) ** power


def divergence(
    run: Run, model: nn.Module, batch: Batch, tokens: TokenLosses, reference: Reference
) -> Tensor:
    """ASFT's anchor (Zhu et al., 2025, arXiv:2509.23753): KL from the reference to the model."""
    with reference.asked(run, model) as asked:
        wanted = _logits(run.token_losses(asked, batch)).float().log_softmax(-1)
    found = _logits(tokens).float().log_softmax(-1)
    return (wanted.exp() * (wanted - found)).sum(-1)


def _logits(tokens: TokenLosses) -> Tensor:
    """What the model predicts at each trained token, of shape (N, vocabulary)."""
    logits = getattr(tokens.outputs, "logits", None)
    if logits is not None:
        logits = logits.reshape(-1, logits.shape[-1])
    if logits is None or len(logits) != len(tokens.losses):
        raise InputError(
            "this model or a kernel does not show its predictions at trained tokens, which losses "
            "asft and eaft are made of",
            hint="set trainer.loss: dft, or leave the kernel out",
        )
    return logits
