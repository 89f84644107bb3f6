"""The losses of preference pairs against a reference, as functions of their log-ratios.

A log-ratio is the log-probability of an answer under the model less that under the reference.
Each function gives the loss of each pair, float32 of shape (pairs,).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True)
class Pairs:
    """Log-ratios of the pairs of a micro batch; all tensors have shape (pairs,).

    ``chosen_tokens`` and ``rejected_tokens`` are the sums of the loss weights of the answers.
    ``policy_margins`` and ``reference_margins`` are log-probabilities of chosen less rejected
    answers under either model. ``chosen_scores`` and ``rejected_scores`` are the log-ratios as
    the divergence has them.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_scores: Tensor
    rejected_scores: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor
    policy_margins: Tensor
    reference_margins: Tensor

    @property
    def margins(self) -> Tensor:
        return self.chosen_scores - self.rejected_scores

    @property
    def mean_margins(self) -> Tensor:
        """Margins of scores by token."""
        return self.chosen_scores / self.chosen_tokens.clamp(min=1e-6) - (
            self.rejected_scores / self.rejected_tokens.clamp(min=1e-6)
        )


@dataclass(slots=True)
class Settings:
    """What the losses are set by."""

    beta: float
    label_smoothing: float
    discopop_tau: float


def _smoothed(logits: Tensor, smoothing: float) -> Tensor:
    """Binary cross-entropy where a share of the pairs is the wrong way round."""
    from torch.nn.functional import logsigmoid

    return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)


def sigmoid(pairs: Pairs, settings: Settings) -> Tensor:
    """DPO (arXiv:2305.18290), smoothed as conservative DPO has it."""
    return _smoothed(settings.beta * pairs.margins, settings.label_smoothing)


def sigmoid_norm(pairs: Pairs, settings: Settings) -> Tensor:
    """DPO on means over tokens, as Tülu 3 has it (arXiv:2411.15124)."""
    return _smoothed(settings.beta * pairs.mean_margins, settings.label_smoothing)


def hinge(pairs: Pairs, settings: Settings) -> Tensor:
    """SLiC (arXiv:2305.10425) on log-ratios."""
    return (1 - settings.beta * pairs.margins).relu()


def ipo(pairs: Pairs, settings: Settings) -> Tensor:
    """IPO (arXiv:2310.12036, eq. 17), on means over tokens as its authors ran it."""
    return (pairs.mean_margins - 1 / (2 * settings.beta)) ** 2


def robust(pairs: Pairs, settings: Settings) -> Tensor:
    """Robust DPO (arXiv:2403.00409): unbiased where a share of the pairs is flipped."""
    from torch.nn.functional import logsigmoid

    logits, flipped = settings.beta * pairs.margins, settings.label_smoothing
    return (flipped * logsigmoid(-logits) - (1 - flipped) * logsigmoid(logits)) / (1 - 2 * flipped)


def exo_pair(pairs: Pairs, settings: Settings) -> Tensor:
    """EXO (arXiv:2402.00856, eq. 16): reverse KL from smoothed preferences to the model's."""
    from torch.nn.functional import logsigmoid

    logits, share = settings.beta * pairs.margins, settings.label_smoothing
    return logits.sigmoid() * (logsigmoid(logits) - math.log1p(-share)) + (-logits).sigmoid() * (
        logsigmoid(-logits) - math.log(share)
    )


def nca_pair(pairs: Pairs, settings: Settings) -> Tensor:
    """NCA (arXiv:2402.05369) for a pair: each answer's own likelihood is held up too."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = settings.beta * pairs.chosen, settings.beta * pairs.rejected
    return -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)


def bco_pair(pairs: Pairs, settings: Settings) -> Tensor:
    """BCO (arXiv:2404.04656) for a pair, without its running shift: a classifier of answers."""
    from torch.nn.functional import logsigmoid

    return -logsigmoid(settings.beta * pairs.chosen) - logsigmoid(-settings.beta * pairs.rejected)


def sppo_hard(pairs: Pairs, settings: Settings) -> Tensor:
    """SPPO (arXiv:2405.00675, eq. 4.7), the chosen answer winning for sure."""
    half = 0.5 / settings.beta
    return (pairs.chosen - half) ** 2 + (pairs.rejected + half) ** 2


def aot(pairs: Pairs, settings: Settings) -> Tensor:
    """AOT (arXiv:2406.05882), paired: the model's margins dominate the reference's.

    Both are sorted within a micro batch, and compared rank by rank.
    """
    margins = pairs.policy_margins.sort()[0] - pairs.reference_margins.sort()[0]
    return _smoothed(settings.beta * margins, settings.label_smoothing)


def aot_unpaired(pairs: Pairs, settings: Settings) -> Tensor:
    """AOT (arXiv:2406.05882), unpaired: chosen log-ratios dominate rejected ones, rank by rank."""
    margins = pairs.chosen.sort()[0] - pairs.rejected.sort()[0]
    return _smoothed(settings.beta * margins, settings.label_smoothing)


def apo_zero(pairs: Pairs, settings: Settings) -> Tensor:
    """APO-zero (arXiv:2408.06266, eq. 7): for answers that are better than the model's own."""
    return (-settings.beta * pairs.chosen).sigmoid() + (settings.beta * pairs.rejected).sigmoid()


def apo_down(pairs: Pairs, settings: Settings) -> Tensor:
    """APO-down (arXiv:2408.06266, eq. 8): for answers that are worse than the model's own."""
    margins = pairs.chosen - pairs.rejected
    return (settings.beta * pairs.chosen).sigmoid() + (-settings.beta * margins).sigmoid()


def discopop(pairs: Pairs, settings: Settings) -> Tensor:
    """DiscoPOP (arXiv:2406.08414, eq. 5): logistic and exponential loss, mixed by the margin."""
    from torch.nn.functional import logsigmoid

    logits = settings.beta * pairs.margins
    share = (logits / settings.discopop_tau).sigmoid()
    return -(1 - share) * logsigmoid(logits) + share * (-logits).exp()


LOSSES: dict[str, Callable[[Pairs, Settings], Tensor]] = {
    function.__name__: function
    for function in (
        *(sigmoid, sigmoid_norm, hinge, ipo, robust, exo_pair, nca_pair, bco_pair, sppo_hard),
        *(aot, aot_unpaired, apo_zero, apo_down, discopop),
    )
}
SMOOTHED = frozenset({"sigmoid", "sigmoid_norm", "robust", "exo_pair", "aot", "aot_unpaired"})
"""Losses that label smoothing is defined for."""
SCORED = frozenset({"sigmoid", "sigmoid_norm", "hinge", "ipo", "robust", "exo_pair", "discopop"})
"""Losses of margins alone, to which another divergence than the reverse KL applies."""


def scores(log_ratios: Tensor, divergence: str, alpha: float) -> Tensor:
    """Log-ratios as a divergence between model and reference has them: f' of the ratio.

    f-DPO (Wang et al., 2023, arXiv:2309.16240), table 1; the log-ratio itself for the reverse KL.
    """
    from torch.nn.functional import logsigmoid

    if divergence == "forward_kl":
        return 1 - (-log_ratios).exp()
    if divergence == "js":
        return math.log(2) + logsigmoid(log_ratios)
    if divergence == "alpha":
        # held below what float32 can hold of its exponential
        return (1 - (-alpha * log_ratios).clamp(max=80.0).exp()) / alpha
    return log_ratios
