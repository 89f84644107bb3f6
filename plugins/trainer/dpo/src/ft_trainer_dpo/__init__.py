"""Direct preference optimization (Rafailov et al., 2023, arXiv:2305.18290)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ft.api import (
    Batch,
    Conversation,
    Encoded,
    Field,
    InputError,
    Loss,
    Message,
    Preference,
    Run,
    TokenLosses,
    Trainer,
    TrainerOptions,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class DPO(Trainer):
    """Raises the log-probability of chosen answers over rejected ones, against a reference.

    The reference is the model before the first step: from the model itself where the adapter
    can bring those weights back (a fresh LoRA that is switched off), and a frozen copy
    otherwise. The loss of a step is the mean over its pairs.
    """

    paper = "arXiv:2305.18290"
    takes = (Preference,)
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 5e-6}, "trackers": ["jsonl"]}

    class Options(TrainerOptions):
        beta: float = Field(0.1, gt=0, description="how strongly the reference holds")
        loss: Literal["sigmoid", "hinge", "ipo"] = Field(
            "sigmoid", description="sigmoid: DPO; hinge: SLiC (2305.10425); ipo: 2310.12036"
        )
        label_smoothing: float = Field(
            0.0, ge=0, lt=0.5, description="share of pairs taken to be the wrong way round"
        )
        sft_weight: float = Field(
            0.0, ge=0, description="weight of the chosen answers' cross-entropy added to the loss"
        )

    reference: Any = None

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Preference]) -> list[dict[str, Encoded]]:
        sides = {
            side: run.tokenize([run.render(_conversation(e, getattr(e, side))) for e in examples])
            for side in ("chosen", "rejected")
        }
        for example, chosen, rejected in zip(
            examples, sides["chosen"], sides["rejected"], strict=True
        ):
            if list(chosen.input_ids) == list(rejected.input_ids):
                raise InputError("chosen and rejected are the same", where=str(example.origin))
        return [dict(zip(sides, pair, strict=True)) for pair in zip(*sides.values(), strict=True)]

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        # here and no later: a run that resumes puts its checkpoint's weights back afterwards
        if run.initial_weights() is None:
            self.reference = run.frozen_copy()

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float((batch["chosen"]["weights"].sum(-1) > 0).sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        import torch

        counted = (batch["chosen"]["weights"].sum(-1) > 0).float()
        policy = {side: run.token_losses(model, batch[side]) for side in batch}
        with torch.no_grad():
            reference = self._reference(run, model, batch)
        log_ratios = {
            side: _sequence_log_probs(policy[side], counted) - reference[side] for side in batch
        }
        if self.options.loss == "ipo":  # defined on means over tokens
            lengths = {
                side: _document_sums(policy[side].weights, policy[side], counted) for side in batch
            }
            log_ratios = {side: log_ratios[side] / lengths[side].clamp(min=1) for side in batch}
        margins = log_ratios["chosen"] - log_ratios["rejected"]
        losses = self._losses(margins)
        if self.options.sft_weight:
            chosen = policy["chosen"]
            mean = _document_sums(chosen.losses * chosen.weights, chosen, counted) / _document_sums(
                chosen.weights, chosen, counted
            ).clamp(min=1)
            losses = losses + self.options.sft_weight * mean
        beta = self.options.beta
        return Loss(
            (losses * counted).sum(),
            {
                "margin": (beta * margins.detach() * counted).sum(),
                "accuracy": ((margins.detach() > 0).float() * counted).sum(),
                "chosen_reward": (beta * log_ratios["chosen"].detach() * counted).sum(),
                "rejected_reward": (beta * log_ratios["rejected"].detach() * counted).sum(),
            },
        )

    def _losses(self, margins: Tensor) -> Tensor:
        """The loss of each pair from its margin in log-ratios, shape (pairs,)."""
        from torch.nn import functional

        beta, smoothing = self.options.beta, self.options.label_smoothing
        if self.options.loss == "hinge":
            return functional.relu(1 - beta * margins)
        if self.options.loss == "ipo":
            return (margins - 1 / (2 * beta)) ** 2
        return -(
            (1 - smoothing) * functional.logsigmoid(beta * margins)
            + smoothing * functional.logsigmoid(-beta * margins)
        )

    def _reference(self, run: Run, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The reference's log-probabilities of both sides, each of shape (pairs,)."""
        counted = (batch["chosen"]["weights"].sum(-1) > 0).float()
        training = model.training
        model.eval()  # dropout would make the reference noisy
        reference = self.reference if self.reference is not None else model
        held = run.initial_weights() if self.reference is None else None
        with held or nullcontext():
            found = {
                side: _sequence_log_probs(run.token_losses(reference, batch[side]), counted)
                for side in batch
            }
        model.train(training)
        return found


def _conversation(example: Preference, answer: Sequence[Message]) -> Conversation:
    """Prompt and one answer; only the answer is trained on."""
    prompt = [replace(message, train=False) for message in example.prompt]
    answered = [
        replace(message, train=True) if message.role == "assistant" else message
        for message in answer
    ]
    return Conversation(
        [*prompt, *answered], example.tools, origin=example.origin, extra=example.extra
    )


def _sequence_log_probs(tokens: TokenLosses, counted: Tensor) -> Tensor:
    """The weighted sum of log-probabilities of each document, shape (documents,)."""
    return _document_sums(-tokens.losses * tokens.weights, tokens, counted)


def _document_sums(values: Tensor, tokens: TokenLosses, counted: Tensor) -> Tensor:
    return values.new_zeros(len(counted)).index_add(0, tokens.documents, values)


trainer = DPO()
