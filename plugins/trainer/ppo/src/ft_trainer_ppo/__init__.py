"""Proximal policy optimization (Schulman et al., 2017, arXiv:1707.06347)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

from ft.api import (
    Batch,
    Capabilities,
    Field,
    Limit,
    Loss,
    OnlineOptions,
    OnlineTrainer,
    Rollout,
    Run,
    hookimpl,
)
from ft.api.policy import (
    as_rows,
    clipped_gain,
    divergence,
    generalized_advantages,
    last_of_each,
    whitened,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

VALUE = "value"
HEAD = "value_head"


class PPOOptions(OnlineOptions):
    value: Literal["adapter", "head"] = Field(
        "adapter",
        description="the value model: a second adapter on the same base with a head, or a head "
        "alone on what the policy computes",
    )
    beta: float = Field(
        0.05,
        ge=0,
        description="how much of the divergence from the model before the first step is taken off "
        "the reward of each token",
    )
    kl_target: float | None = Field(
        None,
        gt=0,
        description="divergence of an answer, in nats, to which beta is adapted (1909.08593); "
        "unset: beta stays",
    )
    kl_horizon: float = Field(
        10_000, gt=0, description="with kl_target: answers over which beta is adapted"
    )
    kl_estimator: Literal["k1", "k2", "k3"] = Field(
        "k1", description="estimate of the divergence from a token"
    )
    discount: float = Field(1.0, gt=0, le=1, description="gamma, the worth of a token later")
    gae_lambda: float = Field(
        0.95, ge=0, le=1, description="lambda of generalized advantage estimation (1506.02438)"
    )
    clip: float = Field(0.2, gt=0, description="how far the ratio of a token may be from 1")
    value_clip: float | None = Field(
        0.2, gt=0, description="how far a value may move from the sampled one and count"
    )
    value_weight: float = Field(0.1, gt=0, description="weight of the value model's loss")
    whiten_rewards: bool = Field(
        False, description="rewards of answers with mean 0 and deviation 1 over the batch"
    )
    updates: int = Field(4, gt=0, description="optimizer steps on the same answers")
    generations: int = Field(1, gt=0, description="answers to each prompt")


class PPO(OnlineTrainer):
    """Makes tokens likelier after which more reward comes than a value model expected.

    Four models are at work and one base is in memory: the policy is the run's adapter, the
    reference the model before the first step, the value model a second adapter with a head
    (``value: head`` shares the policy's), and a reward model on the same base a third
    (``rewards: [{name: reward-model, share_base: true, …}]``). Any other reward will do as well.
    The value model is saved beside the result. The loss is a mean over tokens.
    """

    paper = "arXiv:1707.06347"
    suggests = {
        "optimizer": {"name": "adamw", "learning_rate": 1e-6},
        "engine": "transformers",
        "trackers": ["jsonl"],
    }
    Options = PPOOptions
    samples = ({"generations": 8},)  # four answers a step teach little
    training_options = OnlineTrainer.training_options | (
        PPOOptions.model_fields.keys() - OnlineOptions.model_fields.keys()
    )
    # recomputed activations would be those of whichever adapter is active by then
    accepts = OnlineTrainer.accepts - {"gradient-checkpointing", "data-parallel"}
    limits = {
        "data-parallel": Limit(
            "not-implemented", "a step has two forward passes with a gradient, of two adapters"
        )
    }

    beta: float = 0.0

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        roles = {"switchable-adapter", "several-adapters"}
        return said.also(needs=roles) if self.options.value == "adapter" else said

    @hookimpl
    def ft_add_modules(self, run: Run) -> Mapping[str, nn.Module]:
        import torch

        self.beta = self.options.beta
        if self.options.beta or self.options.kl_target:
            self.keep_reference(run)
        if self.options.value == "adapter":
            run.add_adapter(VALUE)
        head = torch.nn.Linear(run.config.get_text_config().hidden_size, 1)
        torch.nn.init.zeros_(head.weight)  # nothing is expected at first
        torch.nn.init.zeros_(head.bias)
        return {HEAD: head}

    @hookimpl
    def ft_make_batches(
        self, run: Run, model: nn.Module, batches: list[Batch]
    ) -> Iterator[list[Batch]]:
        made = []
        for asked in batches:
            rollouts = self.roll_out(run, asked)
            self.compare_engine(run, model, rollouts)
            made += self.collate(run, rollouts, reward=self._rewards(run, rollouts))
        apart = [self._judge(run, model, batch) for batch in made]
        self._whiten(run, made)
        if model.training and self.options.kl_target:
            self._adapt_beta(run, sum(d for d, _ in apart), sum(n for _, n in apart))
        for _ in range(self.options.updates if model.training else 1):
            yield made

    def _rewards(self, run: Run, rollouts: Sequence[Rollout]) -> list[float]:
        import torch

        rewards = torch.tensor([rollout.reward for rollout in rollouts])
        if self.options.whiten_rewards:
            rewards = whitened(rewards, rewards.isfinite(), run.sum)
        found: list[float] = rewards.tolist()
        return found

    def _judge(self, run: Run, model: nn.Module, batch: Batch) -> tuple[float, int]:
        """Put what was sampled, valued and gained into a batch, token by token.

        Returns the divergence from the reference, summed over answers, and their number.
        """
        import torch

        tokens = batch["tokens"]
        batch["sampled"] = log_probs = self.measured(run, model, tokens)
        documents = (tokens["predicts"] + 1) // tokens["input_ids"].shape[1]
        training = model.training
        model.eval()
        with torch.no_grad():
            batch["valued"] = values = self.values(run, model, tokens)
        model.train(training)
        gains = batch["reward"][documents] * last_of_each(documents)
        apart, count = 0.0, int(last_of_each(documents).sum())
        if self.options.beta or self.options.kl_target:
            reference = self.reference_log_probs(run, model, tokens)
            each = divergence(log_probs, reference, self.options.kl_estimator)
            gains = gains - self.beta * each
            apart = float(each.sum())
            run.report("kl", apart / max(count, 1), weight=count)
        rows, mask = as_rows(gains, documents)
        valued, _ = as_rows(values, documents)
        discount, lam = self.options.discount, self.options.gae_lambda
        if len(documents):
            batch["advantage"] = generalized_advantages(rows, valued, discount, lam)[mask]
        else:
            batch["advantage"] = gains
        batch["return"] = batch["advantage"] + values
        return apart, count

    def _whiten(self, run: Run, batches: list[Batch]) -> None:
        """Give the advantages of all tokens mean 0 and deviation 1."""
        import torch

        flat = torch.cat([batch["advantage"] for batch in batches])
        white = whitened(flat, torch.ones_like(flat, dtype=torch.bool), run.sum)
        parts = white.split([len(batch["advantage"]) for batch in batches])
        for batch, part in zip(batches, parts, strict=True):
            batch["advantage"] = part

    def _adapt_beta(self, run: Run, apart: float, count: int) -> None:
        """Move beta towards the target, in proportion (Ziegler et al., 2019, section 2.2)."""
        assert self.options.kl_target is not None
        count = int(run.sum(float(count)))
        mean = run.sum(apart) / max(count, 1)
        error = min(max(mean / self.options.kl_target - 1, -0.2), 0.2)
        self.beta *= 1 + error * count / self.options.kl_horizon
        run.report("beta", self.beta)

    @hookimpl
    def ft_plugin_state(self) -> dict[str, float]:
        return {"beta": self.beta}

    @hookimpl
    def ft_restore_plugin_state(self, state: Mapping[str, Any]) -> None:
        self.beta = state["beta"]

    def values(self, run: Run, model: nn.Module, tokens: Batch) -> Tensor:
        """What is still to come, as expected before each token of the answers, shape (N,)."""
        adapter = run.use_adapter(VALUE) if self.options.value == "adapter" else nullcontext()
        with adapter:
            hidden = run.hidden_states(model, tokens)
        # virtual tokens in front of the sequence shift the positions
        hidden = hidden[:, hidden.shape[1] - tokens["input_ids"].shape[1] :]
        states = hidden.flatten(0, 1)[tokens["predicts"]]
        head = run.modules[HEAD]
        found: Tensor = head(states.to(head.weight.dtype))[:, 0].float()  # type: ignore[arg-type]
        return found

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(batch["tokens"]["weights"].sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        options = self.options
        values = self.values(run, model, batch["tokens"])
        log_probs, tokens = self.log_probs(run, model, batch["tokens"])
        ratio = (log_probs - batch["sampled"]).exp()
        gain = clipped_gain(ratio, batch["advantage"], options.clip, options.clip)
        errors = self.value_losses(values, batch["valued"], batch["return"])
        metrics = {
            "value_loss": errors.detach().sum(),
            "clipped": ((ratio - 1).abs() > options.clip).float().sum(),
            "entropy": -log_probs.detach().sum(),
        }
        return Loss((options.value_weight * errors - gain).sum(), metrics, tokens.outputs)

    def value_losses(self, values: Tensor, valued: Tensor, returns: Tensor) -> Tensor:
        """Half the squared error of each value; the worse of it and that of the clipped value."""
        import torch

        errors = (values - returns).square()
        if self.options.value_clip is not None:
            limit = self.options.value_clip
            near = valued + (values - valued).clamp(-limit, limit)
            errors = torch.maximum(errors, (near - returns).square())
        return errors / 2


trainer = PPO()
