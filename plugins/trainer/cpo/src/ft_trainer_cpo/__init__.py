"""Contrastive preference optimization (Xu et al., 2024, arXiv:2401.08417)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from ft.api import Batch, Field, Loss, Run, TrainerOptions, hookimpl
from ft.api.preference import SIDES, PairTrainer, counted, likelihood

if TYPE_CHECKING:
    from torch import Tensor, nn

NORMALIZED = frozenset({"ipo", "simpo"})
"""Losses of mean log-probabilities, where the others have sums over an answer's tokens."""


class CPO(PairTrainer):
    """DPO without a reference, held by the chosen answers' cross-entropy.

    The loss of a pair is -log sigmoid of `beta` of the difference of log-probabilities, and
    `sft_weight` of the mean cross-entropy over the tokens of the chosen answer. With
    `loss: simpo` the first is SimPO's (arXiv:2405.14734), which makes CPO-SimPO.
    """

    paper = "arXiv:2401.08417"
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 1e-6}, "trackers": ["jsonl"]}
    training_options = PairTrainer.training_options | {
        *("beta", "loss", "gamma", "label_smoothing", "sft_weight")
    }

    class Options(TrainerOptions):
        beta: float = Field(0.1, gt=0, description="scale of the differences")
        loss: Literal["sigmoid", "hinge", "ipo", "simpo"] = Field(
            "sigmoid",
            description="sigmoid: CPO; hinge: SLiC (2305.10425); ipo: 2310.12036; simpo: by mean "
            "log-probability, with a margin",
        )
        gamma: float | None = Field(None, ge=0, description="the margin of loss simpo; unset: 0.5")
        label_smoothing: float = Field(
            0.0,
            ge=0,
            lt=0.5,
            description="share of pairs taken to be the wrong way round; of sigmoid and simpo",
        )
        sft_weight: float = Field(
            1.0, ge=0, description="weight of the chosen answers' cross-entropy"
        )

        @model_validator(mode="after")
        def _options_belong_to_the_loss(self) -> Self:
            if self.gamma is not None and self.loss != "simpo":
                raise ValueError(f"gamma is the margin of loss simpo, and the loss is {self.loss}")
            if self.label_smoothing and self.loss in ("hinge", "ipo"):
                raise ValueError(f"label_smoothing has no meaning for {self.loss}")
            return self

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        options, counts = self.options, counted(batch["chosen"])
        chosen, rejected = (likelihood(run, model, batch[side]) for side in SIDES)
        if options.loss in NORMALIZED:
            values = chosen.means, rejected.means
        else:
            values = chosen.log_probs, rejected.log_probs
        margins = values[0] - values[1]
        losses = self._losses(margins) - options.sft_weight * chosen.means
        return Loss(
            (losses * counts).sum(),
            {
                "margin": (options.beta * margins.detach() * counts).sum(),
                "accuracy": ((margins > 0).float() * counts).sum(),
                "chosen_reward": (options.beta * values[0].detach() * counts).sum(),
                "rejected_reward": (options.beta * values[1].detach() * counts).sum(),
                "sft_loss": (-chosen.means.detach() * counts).sum(),
            },
        )

    def _losses(self, margins: Tensor) -> Tensor:
        """The contrastive loss of each pair, shape (pairs,)."""
        from torch.nn.functional import logsigmoid

        options = self.options
        if options.loss == "hinge":
            return (1 - options.beta * margins).relu()
        if options.loss == "ipo":
            return (margins - 1 / (2 * options.beta)) ** 2
        logits = options.beta * margins
        if options.loss == "simpo":
            logits = logits - (0.5 if options.gamma is None else options.gamma)
        smoothing = options.label_smoothing
        return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)


trainer = CPO()
