"""One-token rollout (Ming et al., 2025, arXiv:2509.26313)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ft.api import Batch, Conversation, Encoded, Field, Loss, Run, Trainer, TrainerOptions, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn


class OTROptions(TrainerOptions):
    temperature: float = Field(
        1.3, gt=0, description="of the distribution that candidate tokens are drawn from"
    )
    penalty: float = Field(
        -0.1, le=0, description="beta: the reward of a token that is not the data's"
    )
    candidates: int | None = Field(
        None,
        gt=0,
        description="tokens drawn at each place, such as the paper's 256; unset: all of them, by "
        "their probability, which is what drawing comes to in the mean",
    )


class OTR(Trainer):
    """Fine-tunes on given answers as if each token were an episode of reinforcement learning.

    At each place tokens are drawn from the model; the data's own token is worth 1 and every
    other ``penalty``. Tokens that the model finds possible already become likelier, and it
    forgets less than by cross-entropy, which pulls at the least likely ones hardest. The loss is
    the reward's negative, a mean over tokens: it goes from about 0 to -1.
    """

    paper = "arXiv:2509.26313"
    takes = (Conversation,)
    accepts = Trainer.accepts | {"packing"}
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 1e-5}, "trackers": ["jsonl"]}
    Options = OTROptions
    training_options = Trainer.training_options | {"temperature", "penalty", "candidates"}

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Conversation]) -> list[Encoded]:
        return run.tokenize([run.render(example) for example in examples])

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        tokens = run.token_losses(model, batch)
        logits = tokens.outputs.logits
        logits = logits.reshape(-1, logits.shape[-1]).float()
        targets = batch["input_ids"].flatten()[batch["predicts"] + 1]
        losses = self.losses(logits, targets)
        return Loss(
            (losses * tokens.weights).sum(),
            {"cross_entropy": (tokens.losses.detach() * tokens.weights).sum()},
            tokens.outputs,
        )

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss at each place, of shape (N,), from logits of shape (N, vocabulary).

        Its value is the reward's negative, and its gradient that of the policy gradient.
        """
        import torch

        log_probs = logits.log_softmax(-1)
        drawn_from = (logits.detach() / self.options.temperature).softmax(-1)
        rewards = torch.full_like(drawn_from, self.options.penalty)
        rewards.scatter_(-1, targets[:, None], 1.0)
        if self.options.candidates is None:
            gain, reward = ((drawn_from * rewards * one).sum(-1) for one in (log_probs, 1))
        else:
            drawn = torch.multinomial(drawn_from, self.options.candidates, replacement=True)
            gain = (rewards * log_probs).gather(-1, drawn).mean(-1)
            reward = rewards.gather(-1, drawn).mean(-1)
        return gain.detach() - gain - reward


trainer = OTR()
