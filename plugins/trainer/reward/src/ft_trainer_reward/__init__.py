"""Reward models (Ouyang et al., 2022, arXiv:2203.02155)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ft.api import Batch, Field, InputError, Loss, Preference, Run, TrainerOptions, hookimpl
from ft.api.heads import apply_head, last_states, new_head
from ft.api.preference import SIDES, PairTrainer, counted

if TYPE_CHECKING:
    from torch import nn

HEAD = "score"


class RewardModel(PairTrainer):
    """Teaches a score: higher for the chosen answer of a pair than for the rejected one.

    The model of Bradley and Terry: the loss of a pair is -log sigmoid of the difference of the
    scores. A score is what a linear head without bias, module `score`, makes of the hidden
    state of the last token.

    The result is the model and `score.safetensors`, which reward `reward-model` judges answers
    by. `ft export` writes both as a whole `…ForSequenceClassification` with one label, the form in
    which reward models are served.
    """

    paper = "arXiv:2203.02155"
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 1e-5}, "trackers": ["jsonl"]}
    training_options = PairTrainer.training_options | {"centering"}

    class Options(TrainerOptions):
        margin: bool = Field(
            False,
            description="the scores are to differ by the margin of each row (arXiv:2307.09288); "
            "each must have one",
        )
        centering: float = Field(
            0.0,
            ge=0,
            description="weight of the squared sum of both scores, which keeps them around 0 "
            "(arXiv:2312.09244), such as 0.01",
        )

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Preference]) -> list[dict[str, Any]]:
        rows = super().ft_encode(run, examples)
        if self.options.margin:
            for example, row in zip(examples, rows, strict=True):
                row["margin"] = _margin(example)
        return rows

    @hookimpl
    def ft_add_modules(self, run: Run, model: nn.Module) -> Mapping[str, nn.Module]:
        return {HEAD: new_head(run, model, 1)}

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        from torch.nn.functional import logsigmoid

        counts = counted(batch["chosen"])
        chosen, rejected = (
            apply_head(run.modules[HEAD], last_states(run, model, batch[side]))[:, 0]
            for side in SIDES
        )
        margins = chosen - rejected
        wanted = batch["margin"] if self.options.margin else 0.0
        losses = -logsigmoid(margins - wanted)
        losses = losses + self.options.centering * (chosen + rejected) ** 2
        return Loss(
            (losses * counts).sum(),
            {
                "margin": (margins.detach() * counts).sum(),
                "accuracy": ((margins > 0).float() * counts).sum(),
                "chosen_reward": (chosen.detach() * counts).sum(),
                "rejected_reward": (rejected.detach() * counts).sum(),
            },
        )


def _margin(example: Preference) -> float:
    if example.margin is None:
        raise InputError(
            "the row has no margin",
            where=str(example.origin),
            hint="say by how much the chosen answer is better, in the column margin, or leave "
            "trainer.margin out",
        )
    return float(example.margin)


trainer = RewardModel()
