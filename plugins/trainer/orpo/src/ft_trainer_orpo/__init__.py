"""Odds ratio preference optimization (Hong et al., 2024, arXiv:2403.07691)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Batch, Field, Loss, Run, TrainerOptions, hookimpl
from ft.api.preference import SIDES, PairTrainer, counted, likelihood

if TYPE_CHECKING:
    from torch import Tensor, nn


class ORPO(PairTrainer):
    """Learns the chosen answer by cross-entropy, and to prefer it by the ratio of the odds.

    One stage in the place of supervised training and DPO, and no reference model. The loss of
    a pair is the mean cross-entropy over the tokens of the chosen answer, and `beta` of -log
    sigmoid of the log odds ratio, odds being those of a token's geometric mean probability.
    """

    paper = "arXiv:2403.07691"
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 8e-6}, "trackers": ["jsonl"]}
    training_options = PairTrainer.training_options | {"beta"}

    class Options(TrainerOptions):
        beta: float = Field(
            0.1, gt=0, description="weight of the odds ratio: the paper's lambda, TRL's beta"
        )

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        from torch.nn.functional import logsigmoid

        counts = counted(batch["chosen"])
        chosen, rejected = (likelihood(run, model, batch[side]).means for side in SIDES)
        log_odds_ratio = log_odds(chosen) - log_odds(rejected)
        losses = -chosen - self.options.beta * logsigmoid(log_odds_ratio)
        return Loss(
            (losses * counts).sum(),
            {
                "sft_loss": (-chosen.detach() * counts).sum(),
                "log_odds_ratio": (log_odds_ratio.detach() * counts).sum(),
                "accuracy": ((chosen > rejected).float() * counts).sum(),
            },
        )


def log_odds(log_probs: Tensor) -> Tensor:
    """log(p / (1 - p)) of log p, which is below 0."""
    import torch

    # at p = 1 the odds are infinite; a float32 this close to it stays finite
    held = log_probs.clamp(max=-1e-6)
    return held - torch.log(-torch.expm1(held))


trainer = ORPO()
