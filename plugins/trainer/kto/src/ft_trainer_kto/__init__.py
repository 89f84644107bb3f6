"""Kahneman-Tversky optimization (Ethayarajh et al., 2024, arXiv:2402.01306)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from ft.api import Batch, Feedback, Field, Loss, Run, Trainer, TrainerOptions, hookimpl
from ft.api.preference import answered, counted, likelihood
from ft.api.reference import Reference
from ft_trainer_kto.mismatched import mismatched

if TYPE_CHECKING:
    from torch import Tensor, nn


class KTO(Trainer):
    """Learns from single answers with a verdict: good ones become likelier, bad ones less.

    A reward is `beta` of the log-ratio to the model before the first step, and what counts is
    how far it lies above or below a reference point: the KL divergence between the two models.
    That is estimated over all answers of a step, each behind the prompt of another row of it,
    and is the same however the step is cut into micro batches. (Each of several processes pairs
    the rows that it has; the mean is over all of them.) A row that a process has alone says
    nothing of it. The loss of a step is the mean over its answers.
    """

    paper = "arXiv:2402.01306"
    takes = (Feedback,)
    accepts = Trainer.accepts | {"streaming"}
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 5e-6}, "trackers": ["jsonl"]}
    training_options = Trainer.training_options | {
        *("beta", "loss", "desirable_weight", "undesirable_weight")
    }

    class Options(TrainerOptions):
        beta: float = Field(0.1, gt=0, description="how strongly the reference holds")
        loss: Literal["kto", "apo_zero_unpaired"] = Field(
            "kto",
            description="apo_zero_unpaired (arXiv:2408.06266): the same with 0 as reference point, "
            "which saves two forward passes",
        )
        desirable_weight: float = Field(
            1.0,
            gt=0,
            description="weight of good answers; weight times number should be 1 to 4/3 of that "
            "of bad ones",
        )
        undesirable_weight: float = Field(1.0, gt=0, description="weight of bad answers")

        @model_validator(mode="after")
        def _there_are_others(self) -> Self:
            if self.loss == "kto" and self.batch_size == 1:
                raise ValueError("kto compares answers with others of a step: batch_size 2 or more")
            return self

    reference: Reference

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Feedback]) -> list[dict[str, Any]]:
        rows = run.tokenize([run.render(answered(e, e.answer)) for e in examples])
        return [
            {"answer": row, "good": example.good}
            for example, row in zip(examples, rows, strict=True)
        ]

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        self.reference = Reference(run)

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(counted(batch["answer"]).sum())

    @hookimpl
    def ft_make_batches(self, run: Run, batches: list[Batch]) -> list[list[Batch]]:
        point = self._reference_point(run, batches)
        return [[{**batch, "reference_point": point} for batch in batches]]

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        options, counts = self.options, counted(batch["answer"])
        if "reference_point" in batch:
            point = batch["reference_point"]
        else:  # the batch is all there is
            point = self._reference_point(run, [batch])
        policy = likelihood(run, model, batch["answer"]).log_probs
        with self.reference.asked(run, model) as asked:
            reference = likelihood(run, asked, batch["answer"]).log_probs
        log_ratios = policy - reference
        good = batch["good"] > 0
        sign = good.float() * 2 - 1
        weights = good.float() * options.desirable_weight + (~good) * options.undesirable_weight
        gains = sign * options.beta * (log_ratios - point)
        return Loss(
            ((1 - gains.sigmoid()) * weights * counts).sum(),
            {
                "accuracy": ((gains > 0).float() * counts).sum(),
                "gain": (gains.detach() * counts).sum(),
                "kl": (point * counts).sum(),
            },
        )

    def _reference_point(self, run: Run, batches: Sequence[Batch]) -> Tensor:
        """The mean log-ratio of mismatched answers over all processes, at least 0; a scalar."""
        import torch

        sums = torch.zeros(2, device=run.device)
        if self.options.loss == "kto":
            model, training = run.model, run.model.training
            model.eval()  # dropout would make it noisy
            length = self.options.max_length
            for batch in mismatched([batch["answer"] for batch in batches], run.pad_id, length):
                with torch.no_grad(), run.autocast():
                    log_ratios = likelihood(run, model, batch).log_probs
                    with self.reference.asked(run, model) as asked:
                        log_ratios = log_ratios - likelihood(run, asked, batch).log_probs
                sums += torch.stack((log_ratios.sum(), counted(batch).sum()))
            model.train(training)
            sums = run.sum(sums)
        total, count = sums
        return (total / count.clamp(min=1)).clamp(min=0)


trainer = KTO()
