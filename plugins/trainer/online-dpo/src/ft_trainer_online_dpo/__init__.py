"""Online DPO (Guo et al., 2024, arXiv:2402.04792)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ft.api import Batch, Field, Loss, OnlineOptions, OnlineTrainer, Rollout, Run, hookimpl
from ft.api.policy import document_sums

if TYPE_CHECKING:
    from torch import Tensor, nn


class OnlineDPOOptions(OnlineOptions):
    beta: float = Field(0.1, gt=0, description="how strongly the reference holds")
    loss: Literal["sigmoid", "ipo"] = Field(
        "sigmoid", description="sigmoid: DPO (2305.18290); ipo: 2310.12036, on means over tokens"
    )
    unfinished_penalty: float = Field(
        0.0, ge=0, description="taken off the reward of an answer that max_new_tokens cut off"
    )
    generations: int = Field(
        2, gt=1, description="answers to each prompt; the best and the worst of them make the pair"
    )


class OnlineDPO(OnlineTrainer):
    """Raises the better of the model's own answers over the worse, against a reference.

    DPO on pairs that are never stale: the model answers each prompt twice (or more often), the
    rewards say which answer is better, and the pair is learned from at once. The reference is
    the model before the first step. Answers that score alike make no pair. The loss is a mean
    over pairs.
    """

    paper = "arXiv:2402.04792"
    suggests = {
        "optimizer": {"name": "adamw", "learning_rate": 1e-6},
        "engine": "transformers",
        "trackers": ["jsonl"],
    }
    Options = OnlineDPOOptions
    training_options = OnlineTrainer.training_options | (
        OnlineDPOOptions.model_fields.keys() - OnlineOptions.model_fields.keys()
    )

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        self.keep_reference(run)

    @hookimpl
    def ft_make_batches(
        self, run: Run, model: nn.Module, batches: list[Batch]
    ) -> Iterator[list[Batch]]:
        made = []
        for asked in batches:
            rollouts = self.roll_out(run, asked)
            self.compare_engine(run, model, rollouts)
            pairs = self._pairs(rollouts)
            run.report("pairs", sum(b.counts for b, _ in pairs) / len(pairs), weight=len(pairs))
            answers = [answer for pair in pairs for answer in pair]
            made += self.collate(run, answers, together=2)
        for batch in made:
            reference = self.reference_log_probs(run, model, batch["tokens"])
            batch["reference"] = self._answers(reference, batch)
        for _ in range(self.options.updates if model.training else 1):
            yield made

    def _pairs(self, rollouts: Sequence[Rollout]) -> list[tuple[Rollout, Rollout]]:
        """The best and the worst answer to each prompt; neither counts where they are alike."""
        size = self.options.generations
        pairs = []
        for start in range(0, len(rollouts), size):
            group = rollouts[start : start + size]
            ranked = sorted((r for r in group if r.counts), key=self._worth)
            if len(ranked) > 1 and self._worth(ranked[-1]) > self._worth(ranked[0]):
                pairs.append((ranked[-1], ranked[0]))
                continue
            for rollout in group:
                rollout.counts = False
            pairs.append((group[0], group[1]))
        return pairs

    def _worth(self, rollout: Rollout) -> float:
        cut = not rollout.answer.finished
        return rollout.reward - self.options.unfinished_penalty * cut

    def _answers(self, log_probs: Tensor, batch: Batch, documents: Any = None) -> Tensor:
        """Log-probabilities of answers from those of tokens, of shape (answers,)."""
        tokens = batch["tokens"]
        if documents is None:
            documents = (tokens["predicts"] + 1) // tokens["input_ids"].shape[1]
        sums = document_sums(log_probs, documents, len(tokens["input_ids"]))
        if self.options.loss == "ipo":
            return sums / tokens["weights"].sum(-1).clamp(min=1)
        return sums

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float((batch["tokens"]["weights"][::2].sum(-1) > 0).sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        from torch.nn import functional

        beta = self.options.beta
        counted = (batch["tokens"]["weights"][::2].sum(-1) > 0).float()
        log_probs, tokens = self.log_probs(run, model, batch["tokens"])
        ratios = self._answers(log_probs, batch, tokens.documents) - batch["reference"]
        margins = ratios[::2] - ratios[1::2]
        if self.options.loss == "ipo":
            losses = (margins - 1 / (2 * beta)) ** 2
        else:
            losses = -functional.logsigmoid(beta * margins)
        metrics = {
            "margin": (beta * margins.detach() * counted).sum(),
            "accuracy": ((margins.detach() > 0).float() * counted).sum(),
        }
        return Loss((losses * counted).sum(), metrics, tokens.outputs)


trainer = OnlineDPO()
