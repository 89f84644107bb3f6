"""The mathematics that methods with rewards share, each formula once.

Values of tokens are flat, of shape (N,), as :class:`ft.api.TokenLosses` has them: the tokens of a
document lie together, and ``documents`` says to which each belongs. A reward that is nan stands
for an answer that could not be scored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Sum = Callable[["Tensor"], "Tensor"]
"""Adds a tensor over all processes: ``run.sum``."""
Estimator = Literal["k1", "k2", "k3"]


# -- from rewards to advantages ----------------------------------------------------------------


def group_advantages(
    rewards: Tensor, group: int, scale: Literal["group", "batch", "none"], sum_over: Sum
) -> Tensor:
    """How much better each answer is than the mean of its group (2402.03300, section 4.1.2).

    ``rewards`` has shape (prompts * group,); ``scale`` divides by the standard deviation of the
    group, of the whole batch over all processes, or not at all (2503.20783). An answer without
    a reward takes no part, and has an advantage of 0.
    """
    grouped = rewards.reshape(-1, group)
    centred = grouped - grouped.nanmean(1, keepdim=True)
    if scale == "group":
        known = grouped.isfinite().sum(1, keepdim=True)
        variance = centred.square().nansum(1, keepdim=True) / (known - 1).clamp(min=1)
        centred = centred / (variance.sqrt() + EPSILON)
    elif scale == "batch":
        _, variance = moments(rewards, rewards.isfinite(), sum_over)
        centred = centred / (variance.sqrt() + EPSILON)
    return centred.reshape(-1).nan_to_num(0.0)


def leave_one_out(rewards: Tensor, group: int) -> Tensor:
    """How much better each answer is than the mean of the others of its group (2402.14740).

    An answer that is alone in its group, or has no reward, has an advantage of 0.
    """
    grouped = rewards.reshape(-1, group)
    others = grouped.isfinite().sum(1, keepdim=True) - 1
    baseline = (grouped.nansum(1, keepdim=True) - grouped) / others.clamp(min=1)
    return (grouped - baseline).where(others > 0, 0.0).reshape(-1).nan_to_num(0.0)


def moments(values: Tensor, counted: Tensor, sum_over: Sum) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of the values that count, over all processes."""
    kept = values.where(counted, 0.0)
    count, total = sum_over(counted.sum().to(values)), sum_over(kept.sum())
    mean = total / count.clamp(min=1)
    squares = sum_over((kept - mean).square().where(counted, 0.0).sum())
    return mean, squares / (count - 1).clamp(min=1)


def whitened(values: Tensor, counted: Tensor, sum_over: Sum) -> Tensor:
    """The values with mean 0 and variance 1 over all that count, in all processes."""
    mean, variance = moments(values, counted, sum_over)
    return ((values - mean) / (variance.sqrt() + EPSILON)).where(counted, 0.0)


EPSILON = 1e-4
"""Added to a standard deviation that is divided by: all rewards of a group may be the same."""


def generalized_advantages(rewards: Tensor, values: Tensor, discount: float, lam: float) -> Tensor:
    """Generalized advantage estimation (1506.02438, equation 16) over the tokens of one answer.

    ``rewards`` and ``values`` have shape (answers, length), 0 behind an answer's end; the value
    of what follows the last token is 0.
    """
    import torch

    advantage = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(advantage)
    found = torch.zeros_like(rewards)
    for place in reversed(range(rewards.shape[1])):
        error = rewards[:, place] + discount * following - values[:, place]
        advantage = error + discount * lam * advantage
        following = values[:, place]
        found[:, place] = advantage
    return found


# -- tokens and documents ------------------------------------------------------------------------


def document_sums(values: Tensor, documents: Tensor, count: int) -> Tensor:
    """The sum over the tokens of each of ``count`` documents, shape (count,)."""
    return values.new_zeros(count).index_add(0, documents, values)


def document_means(values: Tensor, documents: Tensor, count: int) -> Tensor:
    """The mean over the tokens of each document; 0 for one without tokens."""
    lengths = document_sums(values.new_ones(values.shape), documents, count)
    return document_sums(values, documents, count) / lengths.clamp(min=1)


def sums_to_end(values: Tensor, documents: Tensor) -> Tensor:
    """For each token the sum from it to the end of its document."""
    rows, mask = as_rows(values, documents)
    return rows.flip(1).cumsum(1).flip(1)[mask]


def as_rows(values: Tensor, documents: Tensor) -> tuple[Tensor, Tensor]:
    """Flat values as (documents, length), 0 where a document has ended, and where they lie.

    ``rows[mask]`` is flat again.
    """
    import torch

    count = int(documents.max()) + 1 if len(documents) else 0
    lengths = torch.bincount(documents, minlength=count)
    longest = int(lengths.max()) if count else 0
    mask = torch.arange(longest, device=values.device)[None] < lengths[:, None]
    rows = values.new_zeros(count, longest)
    rows[mask] = values
    return rows, mask


def last_of_each(documents: Tensor) -> Tensor:
    """Whether a token is the last of its document, bool of shape (N,)."""
    ends = documents >= 0
    ends[:-1] = documents[1:] != documents[:-1]
    return ends


# -- how far two policies are apart ----------------------------------------------------------------


def divergence(log_probs: Tensor, reference: Tensor, estimator: Estimator) -> Tensor:
    """An estimate of KL(policy ‖ reference) from tokens that the policy drew.

    With d = log p - log r: ``k1`` is d; ``k2`` is d²/2, never negative; ``k3`` is
    exp(-d) - 1 + d, never negative and unbiased (Schulman, 2020, "Approximating KL divergence").
    """
    apart = log_probs - reference
    if estimator == "k1":
        return apart
    if estimator == "k2":
        return apart.square() / 2
    return (-apart).exp() - 1 + apart


def clipped_gain(ratio: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """The clipped surrogate (1707.06347, equation 7): pessimistic about large ratios."""
    import torch

    return torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
