"""Supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ft.api import (
    Batch,
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

if TYPE_CHECKING:
    from torch import nn


class SFT(Trainer):
    """Cross-entropy on the tokens that the assistant writes, its turn terminators included.

    The loss of a step is the weighted mean over all trained tokens of the step.
    """

    takes = (Conversation,)
    accepts = Trainer.accepts | {"packing", "loss-kernel", "streaming"}
    suggests = {"optimizer": "adamw", "trackers": ["jsonl"]}

    class Options(TrainerOptions):
        train_on: Literal["assistant", "last", "all"] = Field(
            "assistant",
            description="every assistant turn, only the last one, or the prompt as well",
        )

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
        tokens = run.token_losses(model, batch)
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
