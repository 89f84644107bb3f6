"""REINFORCE leave-one-out (Ahmadian et al., 2024, arXiv:2402.14740)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ft.api import Batch, Field, Loss, OnlineOptions, OnlineTrainer, Run, hookimpl
from ft.api.policy import clipped_gain, divergence, document_sums, leave_one_out, whitened

if TYPE_CHECKING:
    from torch import nn


class RLOOOptions(OnlineOptions):
    beta: float = Field(
        0.05,
        ge=0,
        description="how much of the divergence from the model before the first step is taken off "
        "an answer's reward",
    )
    whiten: bool = Field(False, description="advantages with mean 0 and deviation 1 over the batch")
    clip: float = Field(0.2, gt=0, description="how far the ratio of an answer may be from 1")
    generations: int = Field(4, gt=1, description="answers to each prompt, each other's baseline")


class RLOO(OnlineTrainer):
    """Makes an answer likelier that is better than the mean of the others to the same prompt.

    An answer is one action: the gradient is that of its whole log-probability, and the
    divergence from the reference is part of its reward. For rewards that can be checked and
    for reward models, where PPO's value model is too much. The loss is a mean over answers.
    """

    paper = "arXiv:2402.14740"
    suggests = {
        "optimizer": {"name": "adamw", "learning_rate": 1e-6},
        "engine": "transformers",
        "trackers": ["jsonl"],
    }
    Options = RLOOOptions
    training_options = OnlineTrainer.training_options | (
        RLOOOptions.model_fields.keys() - OnlineOptions.model_fields.keys()
    )

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        if self.options.beta:
            self.keep_reference(run)

    @hookimpl
    def ft_make_batches(
        self, run: Run, model: nn.Module, batches: list[Batch]
    ) -> Iterator[list[Batch]]:
        made = []
        for asked in batches:
            rollouts = self.roll_out(run, asked)
            self.compare_engine(run, model, rollouts)
            own = self.collate(run, rollouts, reward=[r.reward for r in rollouts])
            self._judge(run, model, own)
            made += own
        for _ in range(self.options.updates if model.training else 1):
            yield made

    def _judge(self, run: Run, model: nn.Module, batches: list[Batch]) -> None:
        """Put the log-probabilities of answers and their advantages into the batches."""
        import torch

        for batch in batches:
            tokens, count = batch["tokens"], len(batch["reward"])
            log_probs = self.measured(run, model, tokens)
            documents = (tokens["predicts"] + 1) // tokens["input_ids"].shape[1]
            batch["sampled"] = document_sums(log_probs, documents, count)
            if self.options.beta:
                reference = self.reference_log_probs(run, model, tokens)
                apart = document_sums(divergence(log_probs, reference, "k1"), documents, count)
                batch["reward"] = batch["reward"] - self.options.beta * apart
                run.report("kl", apart.mean(), weight=count)
        rewards = torch.cat([batch["reward"] for batch in batches])
        advantages = leave_one_out(rewards, self.options.generations)
        if self.options.whiten:
            advantages = whitened(advantages, rewards.isfinite(), run.sum)
        sizes = [len(batch["reward"]) for batch in batches]
        for batch, own in zip(batches, advantages.split(sizes), strict=True):
            batch["advantage"] = own

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        counted = (batch["tokens"]["weights"].sum(-1) > 0).float()
        log_probs, tokens = self.log_probs(run, model, batch["tokens"])
        answers = document_sums(log_probs, tokens.documents, len(counted))
        ratio = (answers - batch["sampled"]).exp()
        gain = clipped_gain(ratio, batch["advantage"], self.options.clip, self.options.clip)
        clipped = ((ratio - 1).abs() > self.options.clip).float()
        return Loss(-(gain * counted).sum(), {"clipped": (clipped * counted).sum()}, tokens.outputs)


trainer = RLOO()
