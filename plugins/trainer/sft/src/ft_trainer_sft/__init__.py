"""Supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

from ft.api import (
    Batch,
    Capabilities,
    Conversation,
    Encoded,
    Field,
    Loss,
    Rendered,
    Run,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft_trainer_sft.neftune import EmbeddingNoise

if TYPE_CHECKING:
    from torch import nn


class SFT(Trainer):
    """Cross-entropy on the tokens that the assistant writes, its turn terminators included.

    The loss of a step is the weighted mean over all trained tokens of the step. An evaluation
    reports the plain loss, whatever smoothing or noise the training has.
    """

    takes = (Conversation,)
    accepts = Trainer.accepts | {"packing", "loss-kernel", "streaming"}
    suggests = {"optimizer": "adamw", "trackers": ["jsonl"]}

    class Options(TrainerOptions):
        train_on: Literal["assistant", "last", "all"] = Field(
            "assistant",
            description="every assistant turn, only the last one, or the prompt as well",
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

    _noise: EmbeddingNoise | None = None

    def bind(self, *args: Any, **kwargs: Any) -> Self:
        bound = super().bind(*args, **kwargs)
        if bound.options.neftune is not None:
            bound._noise = EmbeddingNoise(bound.options.neftune)
        return bound

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(provides={"label-smoothing"}) if self.options.label_smoothing else said

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
        smoothing = self.options.label_smoothing if model.training else 0.0
        tokens = run.token_losses(model, batch, smoothing)
        return Loss((tokens.losses * tokens.weights).sum(), outputs=tokens.outputs)


def only_last(example: Conversation) -> Conversation:
    """The conversation with ``train`` off in each assistant turn but the last that says nothing."""
    answers = [i for i, message in enumerate(example.messages) if message.role == "assistant"]
    messages = [
        replace(message, train=False) if i in answers[:-1] and message.train is None else message
        for i, message in enumerate(example.messages)
    ]
    return replace(example, messages=messages)


trainer = SFT()
