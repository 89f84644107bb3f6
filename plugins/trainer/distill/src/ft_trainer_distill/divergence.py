"""How far the distributions of a teacher and a student are apart."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-7
"""What is left for tokens that are not among the likeliest, at least."""


def divergence(
    teacher: Tensor,
    student: Tensor,
    which: Literal["forward_kl", "reverse_kl", "js"],
    mix: float = 0.5,
) -> Tensor:
    """Of log-probabilities of shape (N, tokens), a divergence of shape (N,).

    ``forward_kl`` is KL(teacher ‖ student), ``reverse_kl`` KL(student ‖ teacher), and ``js``
    the generalized Jensen-Shannon divergence (2306.13649, equation 1) with the mixture
    m = mix * teacher + (1 - mix) * student: mix * KL(teacher ‖ m) + (1 - mix) * KL(student ‖ m).
    """
    import torch

    if which == "forward_kl":
        return _kl(teacher, student)
    if which == "reverse_kl":
        return _kl(student, teacher)
    mixture = torch.logaddexp(teacher + log(mix), student + log(1 - mix))
    return mix * _kl(teacher, mixture) + (1 - mix) * _kl(student, mixture)


def _kl(one: Tensor, other: Tensor) -> Tensor:
    return (one.exp() * (one - other)).sum(-1)


def top_and_rest(log_probs: Tensor, known: Tensor) -> Tensor:
    """Log-probabilities of some tokens, and behind them that of all others together.

    Both have shape (N, k); what is not ``known`` counts as a token of the least probability.
    """
    import torch

    kept = log_probs.where(known, log(LEAST))
    rest = (1 - (kept.exp() * known).sum(-1, keepdim=True)).clamp(min=LEAST)
    return torch.cat((kept, rest.log()), -1)
