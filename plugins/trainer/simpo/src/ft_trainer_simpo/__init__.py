"""Simple preference optimization (Meng et al., 2024, arXiv:2405.14734)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Batch, Field, Loss, Run, TrainerOptions, hookimpl
from ft.api.preference import SIDES, PairTrainer, counted, likelihood

if TYPE_CHECKING:
    from torch import nn


class SimPO(PairTrainer):
    """Raises the mean log-probability of chosen answers over rejected ones by a margin.

    Without a reference model: the reward of an answer is `beta` of the mean log-probability of
    its tokens, which is also what generation goes by and does not favour length. The loss is
    -log sigmoid of the rewards' difference less `gamma`.
    """

    paper = "arXiv:2405.14734"
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 1e-6}, "trackers": ["jsonl"]}
    training_options = PairTrainer.training_options | {
        *("beta", "gamma", "label_smoothing", "sft_weight")
    }

    class Options(TrainerOptions):
        beta: float = Field(2.0, gt=0, description="scale of the rewards; the paper has 2 to 10")
        gamma: float = Field(
            0.5, ge=0, description="by how much the chosen reward is to be larger, in its units"
        )
        label_smoothing: float = Field(
            0.0, ge=0, lt=0.5, description="share of pairs taken to be the wrong way round"
        )
        sft_weight: float = Field(
            0.0, ge=0, description="weight of the chosen answers' cross-entropy added to the loss"
        )

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        from torch.nn.functional import logsigmoid

        options, counts = self.options, counted(batch["chosen"])
        chosen, rejected = (likelihood(run, model, batch[side]).means for side in SIDES)
        margins = options.beta * (chosen - rejected)
        logits = margins - options.gamma
        losses = (
            -(1 - options.label_smoothing) * logsigmoid(logits)
            - options.label_smoothing * logsigmoid(-logits)
            - options.sft_weight * chosen
        )
        return Loss(
            (losses * counts).sum(),
            {
                "margin": (margins.detach() * counts).sum(),
                "accuracy": ((chosen > rejected).float() * counts).sum(),
                "chosen_reward": (options.beta * chosen.detach() * counts).sum(),
                "rejected_reward": (options.beta * rejected.detach() * counts).sum(),
            },
        )


trainer = SimPO()
