"""REINFORCE++ (Hu et al., 2025, arXiv:2501.03262)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from ft.api import Batch, Field, Loss, OnlineOptions, OnlineTrainer, Run, hookimpl
from ft.api.policy import clipped_gain, divergence, last_of_each, sums_to_end, whitened

if TYPE_CHECKING:
    from torch import nn


class ReinforceOptions(OnlineOptions):
    beta: float = Field(
        0.01,
        ge=0,
        description="how much of the divergence from the model before the first step is taken off "
        "the reward of each token",
    )
    kl_estimator: Literal["k1", "k2", "k3"] = Field(
        "k1", description="estimate of that divergence from a token"
    )
    baseline: bool = Field(
        False,
        description="take the mean reward of the answers to a prompt off first (REINFORCE++-"
        "baseline); needs several generations",
    )
    clip: float = Field(0.2, gt=0, description="how far the ratio of a token may be from 1")
    generations: int = Field(1, gt=0, description="answers to each prompt")


class ReinforcePlusPlus(OnlineTrainer):
    """Makes the tokens likelier after which more reward comes than in the batch's mean.

    One answer to each prompt will do: what an answer is compared with is the whole batch, over
    all processes, whose advantages are given mean 0 and deviation 1. The divergence from the
    reference is taken off token by token. The loss is a mean over tokens.
    """

    paper = "arXiv:2501.03262"
    suggests = {
        "optimizer": {"name": "adamw", "learning_rate": 1e-6},
        "engine": "transformers",
        "trackers": ["jsonl"],
    }
    Options = ReinforceOptions
    samples = ({"generations": 8},)  # four answers a step teach little
    training_options = OnlineTrainer.training_options | (
        ReinforceOptions.model_fields.keys() - OnlineOptions.model_fields.keys()
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
            made += self.collate(run, rollouts, reward=[r.reward for r in rollouts])
        self._judge(run, model, made)
        for _ in range(self.options.updates if model.training else 1):
            yield made

    def _judge(self, run: Run, model: nn.Module, batches: list[Batch]) -> None:
        """Put sampled log-probabilities and the advantages of tokens into the batches."""
        import torch

        rewards = torch.cat([batch["reward"] for batch in batches])
        if self.options.baseline:
            grouped = rewards.reshape(-1, self.options.generations)
            rewards = (grouped - grouped.nanmean(1, keepdim=True)).reshape(-1)
        sizes = [len(batch["reward"]) for batch in batches]
        returns = []
        for batch, own in zip(batches, rewards.split(sizes), strict=True):
            tokens = batch["tokens"]
            batch["sampled"] = log_probs = self.measured(run, model, tokens)
            documents = (tokens["predicts"] + 1) // tokens["input_ids"].shape[1]
            gains = own[documents] * last_of_each(documents)
            if self.options.beta:
                reference = self.reference_log_probs(run, model, tokens)
                apart = divergence(log_probs, reference, self.options.kl_estimator)
                gains = gains - self.options.beta * apart
                run.report("kl", apart.mean() if len(apart) else 0, weight=len(apart))
            returns.append(sums_to_end(gains, documents))
        flat = torch.cat(returns)
        white = whitened(flat, torch.ones_like(flat, dtype=torch.bool), run.sum)
        for batch, part in zip(batches, white.split([len(r) for r in returns]), strict=True):
            batch["advantage"] = part

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(batch["tokens"]["weights"].sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        log_probs, tokens = self.log_probs(run, model, batch["tokens"])
        ratio = (log_probs - batch["sampled"]).exp()
        gain = clipped_gain(ratio, batch["advantage"], self.options.clip, self.options.clip)
        clipped = ((ratio - 1).abs() > self.options.clip).float()
        return Loss(-gain.sum(), {"clipped": clipped.sum()}, tokens.outputs)


trainer = ReinforcePlusPlus()
