"""Group relative policy optimization (Shao et al., 2024, arXiv:2402.03300), and its variants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from ft.api import Batch, Field, Loss, OnlineOptions, OnlineTrainer, Rollout, Run, hookimpl
from ft.api.policy import (
    clipped_gain,
    divergence,
    document_means,
    group_advantages,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class GRPOOptions(OnlineOptions):
    beta: float = Field(
        0.0, ge=0, description="weight of the divergence from the model before the first step"
    )
    kl_estimator: Literal["k1", "k2", "k3"] = Field(
        "k3", description="estimate of that divergence from the tokens of an answer"
    )
    loss: Literal["clip", "cispo", "sapo"] = Field(
        "clip",
        description="clip: PPO's surrogate; cispo: clipped weights of log-probabilities "
        "(2506.13585); sapo: a soft gate (2511.20347)",
    )
    aggregation: Literal["grpo", "dr_grpo", "token"] = Field(
        "token",
        description="grpo: mean over tokens of an answer, then over answers; dr_grpo: sum over "
        "tokens by max_new_tokens (2503.20783); token: mean over all tokens (DAPO)",
    )
    importance: Literal["token", "sequence"] = Field(
        "token", description="ratio to the sampling policy by token, or by answer (GSPO)"
    )
    scale_rewards: Literal["group", "batch", "none"] = Field(
        "group", description="divide advantages by the deviation of the group, the batch, or not"
    )
    clip_low: float = Field(0.2, gt=0, description="how far a ratio may fall below 1 and count")
    clip_high: float | None = Field(
        None, gt=0, description="how far it may rise above 1; unset: as clip_low; DAPO: 0.28"
    )
    gate: tuple[float, float] = Field(
        (1.0, 1.05),
        description="sapo: temperatures of the gate for answers above and below the mean",
    )
    dynamic_sampling: int = Field(
        0,
        ge=0,
        description="rounds in which prompts whose answers all score alike are replaced by others "
        "(DAPO); 0: they stay, and teach nothing",
    )
    overlong_buffer: int = Field(
        0,
        ge=0,
        description="tokens before max_new_tokens in which the reward falls, by overlong_penalty "
        "at the end (DAPO)",
    )
    overlong_penalty: float = Field(1.0, gt=0, description="with overlong_buffer: how far")
    generations: int = Field(8, gt=1, description="answers to each prompt, compared with another")

    @model_validator(mode="after")
    def _goes_together(self) -> GRPOOptions:
        if self.overlong_buffer > self.max_new_tokens:
            raise ValueError("overlong_buffer is longer than max_new_tokens")
        if self.dynamic_sampling and self.streaming:
            raise ValueError("dynamic_sampling draws other prompts, which a stream cannot give")
        return self


class GRPO(OnlineTrainer):
    """Makes answers likelier that are better than the mean of the answers to the same prompt.

    For rewards that can be checked: mathematics, formats, tests, judges. No value model is
    needed. The variants are options: Dr. GRPO (``aggregation: dr_grpo``, ``scale_rewards:
    none``), DAPO (arXiv:2503.14476: ``aggregation: token``, ``clip_high: 0.28``,
    ``dynamic_sampling``, ``overlong_buffer``), GSPO (arXiv:2507.18071: ``importance: sequence``,
    ``aggregation: grpo``, ``clip_low: 3e-4``, ``clip_high: 4e-4``), CISPO (``loss: cispo``,
    ``clip_high: 4``) and SAPO (``loss: sapo``).

    The loss is a mean over answers, or over tokens with ``aggregation: token``.
    """

    paper = "arXiv:2402.03300"
    suggests = {
        "optimizer": {"name": "adamw", "learning_rate": 1e-6},
        "engine": "transformers",
        "trackers": ["jsonl"],
    }
    Options = GRPOOptions
    training_options = OnlineTrainer.training_options | (
        GRPOOptions.model_fields.keys() - OnlineOptions.model_fields.keys()
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
            rollouts = self._informative(run, asked, self.roll_out(run, asked), model.training)
            self.compare_engine(run, model, rollouts)
            advantages = self._advantages(run, rollouts)
            made += self.collate(run, rollouts, advantage=advantages.tolist())
        for batch in made:
            if self.options.updates > 1:
                batch["sampled"] = self.measured(run, model, batch["tokens"])
            if self.options.beta:
                batch["reference"] = self.reference_log_probs(run, model, batch["tokens"])
        for _ in range(self.options.updates if model.training else 1):
            yield made

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        weights = batch["tokens"]["weights"]
        if self.options.aggregation == "token":
            return float(weights.sum())
        return float((weights.sum(-1) > 0).sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        log_probs, tokens = self.log_probs(run, model, batch["tokens"])
        documents, count = tokens.documents, len(batch["advantage"])
        change = log_probs - batch.get("sampled", log_probs.detach())
        if self.options.importance == "sequence":
            change = document_means(change, documents, count)[documents]
        ratio, advantage = change.exp(), batch["advantage"][documents]
        losses = -self._gain(log_probs, ratio, advantage)
        metrics: dict[str, Any] = {}
        if self.options.beta:
            apart = divergence(log_probs, batch["reference"], self.options.kl_estimator)
            losses = losses + self.options.beta * apart
            metrics["kl"] = self._aggregated(apart.detach(), documents, count)
        clipped = (ratio < 1 - self.options.clip_low) | (ratio > 1 + self._clip_high)
        metrics["clipped"] = self._aggregated(clipped.float(), documents, count)
        # of tokens that the policy drew, -log p has the entropy as its mean
        metrics["entropy"] = self._aggregated(-log_probs.detach(), documents, count)
        return Loss(self._aggregated(losses, documents, count), metrics, tokens.outputs)

    @property
    def _clip_high(self) -> float:
        high = self.options.clip_high
        return self.options.clip_low if high is None else high

    def _gain(self, log_probs: Tensor, ratio: Tensor, advantage: Tensor) -> Tensor:
        """What each token adds to the objective, of shape (N,)."""
        options = self.options
        if options.loss == "cispo":
            return ratio.detach().clamp(max=1 + self._clip_high) * advantage * log_probs
        if options.loss == "sapo":
            above, below = options.gate
            temperature = (advantage > 0) * (above - below) + below
            return (temperature * (ratio - 1)).sigmoid() * 4 / temperature * advantage
        return clipped_gain(ratio, advantage, options.clip_low, self._clip_high)

    def _aggregated(self, values: Tensor, documents: Tensor, count: int) -> Tensor:
        """The sum over units of values of tokens."""
        if self.options.aggregation == "grpo":
            return document_means(values, documents, count).sum()
        if self.options.aggregation == "dr_grpo":
            return values.sum() / self.options.max_new_tokens
        return values.sum()

    # -- answers and advantages ----------------------------------------------------------------

    def _advantages(self, run: Run, rollouts: Sequence[Rollout]) -> Tensor:
        import torch

        rewards = torch.tensor([self._shaped(rollout) for rollout in rollouts])
        options = self.options
        return group_advantages(rewards, options.generations, options.scale_rewards, run.sum)

    def _shaped(self, rollout: Rollout) -> float:
        """The reward, lowered for an answer that nears the limit (2503.14476, equation 13)."""
        options = self.options
        if not options.overlong_buffer:
            return rollout.reward
        free = options.max_new_tokens - options.overlong_buffer
        over = max(0, len(rollout.answer.token_ids) - free) / options.overlong_buffer
        return rollout.reward - options.overlong_penalty * over

    def _informative(
        self, run: Run, asked: Batch, rollouts: list[Rollout], training: bool
    ) -> list[Rollout]:
        """The answers, those of prompts that teach nothing replaced by answers to others."""
        import torch

        size = self.options.generations
        groups = [rollouts[start : start + size] for start in range(0, len(rollouts), size)]
        alike = [number for number, group in enumerate(groups) if _alike(group)]
        run.report("groups_alike", len(alike) / len(groups), weight=len(groups))
        for _ in range(self.options.dynamic_sampling if training else 0):
            if not alike:
                break
            drawn = torch.randint(len(run.data), (len(alike),)).tolist()
            others = {
                "asked": [run.data[number] for number in drawn],
                "weights": asked["weights"][alike],
            }
            answers = self.roll_out(run, others)
            for place, number in enumerate(alike):
                groups[number] = answers[place * size : (place + 1) * size]
            alike = [number for number in alike if _alike(groups[number])]
        if self.options.dynamic_sampling and training:
            for number in alike:
                for rollout in groups[number]:
                    rollout.counts = False
        return [rollout for group in groups for rollout in group]


def _alike(group: Sequence[Rollout]) -> bool:
    """Whether the answers to a prompt tell nothing apart."""
    return len({rollout.reward for rollout in group if rollout.counts}) < 2


trainer = GRPO()
