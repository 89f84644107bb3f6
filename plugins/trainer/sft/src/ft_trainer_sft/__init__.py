"""Supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from ft.api import (
    Batch,
    Capabilities,
    Conversation,
    Encoded,
    Field,
    InputError,
    Loss,
    Rendered,
    Run,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.api.reference import Reference
from ft_trainer_sft.neftune import EmbeddingNoise
from ft_trainer_sft.weighting import WHOLE_PREDICTIONS, by_entropy, by_probability, divergence

if TYPE_CHECKING:
    from torch import nn


class SFT(Trainer):
    """Cross-entropy on the tokens that the assistant writes, its turn terminators included.

    The loss of a step is the weighted mean over all trained tokens of the step. An evaluation
    reports the plain loss, whatever loss, smoothing or noise the training has.

    Other losses give tokens other weights while training: `dft` the probability of the token
    (arXiv:2508.05629), which rests what the model finds unlikely; `asft` does so too and adds the
    KL divergence from the model before the first step (arXiv:2509.23753); `eaft` the entropy of
    the prediction (arXiv:2601.02151), which rests what contradicts a model that is sure.
    """

    takes = (Conversation,)
    accepts = Trainer.accepts | {"packing", "loss-kernel", "streaming"}
    provides = frozenset({"extra-loss"})
    suggests = {"optimizer": "adamw", "trackers": ["jsonl"]}
    training_options = Trainer.training_options | {
        *("loss", "anchor", "entropy_power", "label_smoothing", "neftune")
    }

    class Options(TrainerOptions):
        train_on: Literal["assistant", "last", "all"] = Field(
            "assistant",
            description="every assistant turn, only the last one, or the prompt as well",
        )
        loss: Literal["cross_entropy", "dft", "asft", "eaft"] = Field(
            "cross_entropy",
            description="dft, asft, eaft: cross-entropy with tokens weighted by their probability, "
            "by that and anchored, by the entropy of the prediction",
        )
        anchor: float | None = Field(
            None, gt=0, description="weight of the KL divergence in loss asft; unset: 0.1"
        )
        entropy_power: float | None = Field(
            None, gt=0, description="power of the entropy in loss eaft; unset: 1"
        )
        label_smoothing: float = Field(
            0.0,
            ge=0,
            lt=1,
            description="share of each loss that is spread over the vocabulary (arXiv:1512.00567)",
        )
        neftune: float | None = Field(
            None,
            gt=0,
            description="noise on the embeddings while training, such as 5 (arXiv:2310.05914); "
            "unset: none",
        )

        @model_validator(mode="after")
        def _options_belong_to_the_loss(self) -> Self:
            for name, loss in (("anchor", "asft"), ("entropy_power", "eaft")):
                if getattr(self, name) is not None and self.loss != loss:
                    raise ValueError(f"{name} is of loss {loss}, and the loss is {self.loss}")
            if self.label_smoothing and self.loss != "cross_entropy":
                raise ValueError(f"label_smoothing has no meaning for loss {self.loss}")
            return self

    _noise: EmbeddingNoise | None = None
    _reference: Reference | None = None

    def bind(self, *args: Any, **kwargs: Any) -> Self:
        bound = super().bind(*args, **kwargs)
        if bound.options.neftune is not None:
            bound._noise = EmbeddingNoise(bound.options.neftune)
        return bound

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if self.options.loss in WHOLE_PREDICTIONS:  # which a fused loss never has in memory
            said = replace(said, accepts=said.accepts - {"loss-kernel"})
        return said.also(provides={"label-smoothing"}) if self.options.label_smoothing else said

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        if self.options.loss == "asft":
            self._reference = Reference(run)

    @hookimpl
    def ft_patch_trained(self, model: nn.Module) -> None:
        if self._noise is not None:
            self._noise.attach(model)

    @hookimpl
    def ft_forward_arguments(self, run: Run, batch: Batch) -> Mapping[str, Any]:
        # no argument, but the one place that sees what goes into each forward pass
        if self._noise is not None:
            self._noise.begin(run, batch)
        return {}

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Conversation]) -> list[Encoded]:
        return run.tokenize([self._render(run, example) for example in examples])

    def _render(self, run: Run, example: Conversation) -> Rendered:
        """Render with the spans that ``train_on`` wants; a message's own ``train`` beats it."""
        refuse_unheard(example, self.options.train_on)
        if self.options.train_on == "last":
            return run.render(only_last(example))
        rendered = run.render(example)
        if self.options.train_on == "assistant":
            return rendered
        # all of the text, then the turns that have a weight of their own or none at all
        spans = [(0, len(rendered.text), 1.0), *rendered.spans]
        if any(message.train is False for message in example.messages):
            left_out = [replace(m, train=m.train is False, weight=1.0) for m in example.messages]
            found = run.render(replace(example, messages=left_out)).spans
            spans += [(start, end, 0.0) for start, end, _ in found]
        return replace(rendered, spans=spans)

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        options = self.options
        if not model.training:
            tokens = run.token_losses(model, batch)
            return Loss((tokens.losses * tokens.weights).sum(), outputs=tokens.outputs)
        tokens = run.token_losses(model, batch, options.label_smoothing)
        losses = tokens.losses
        metrics = {}
        if options.loss != "cross_entropy":
            metrics["cross_entropy"] = (losses.detach() * tokens.weights).sum()
        if options.loss in ("dft", "asft"):
            losses = losses * by_probability(losses)
        if options.loss == "eaft":
            losses = losses * by_entropy(tokens, options.entropy_power or 1.0)
        if self._reference is not None:
            anchor = 0.1 if options.anchor is None else options.anchor
            losses = losses + anchor * divergence(run, model, batch, tokens, self._reference)
        return Loss((losses * tokens.weights).sum(), metrics, tokens.outputs)


def refuse_unheard(example: Conversation, train_on: str) -> None:
    """Raise where a turn that the model does not write asks for what ``train_on`` rules out.

    Templates mark what the model writes; where any other turn begins and ends nobody says.
    """
    whole = train_on == "all"
    for number, message in enumerate(example.messages, 1):
        if message.role == "assistant":
            continue
        if message.train is (not whole) or (whole and message.weight != 1):
            said = "a weight" if message.train is None else f"train: {str(message.train).lower()}"
            raise InputError(
                f"message {number}, of role {message.role}, has {said}, which trainer.train_on: "
                f"{train_on} has no place for: only turns of the assistant are told apart",
                where=str(example.origin) if example.origin else None,
                hint="leave it out of the row, or set trainer.train_on: "
                + ("assistant" if whole else "all"),
            )


def only_last(example: Conversation) -> Conversation:
    """The conversation with ``train`` off in each assistant turn but the last that says nothing."""
    answers = [i for i, message in enumerate(example.messages) if message.role == "assistant"]
    messages = [
        replace(message, train=False) if i in answers[:-1] and message.train is None else message
        for i, message in enumerate(example.messages)
    ]
    return replace(example, messages=messages)


trainer = SFT()
