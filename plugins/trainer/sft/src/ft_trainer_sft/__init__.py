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
        return run.tokenize([self._choose(run.render(example)) for example in examples])

    def _choose(self, rendered: Rendered) -> Rendered:
        if self.options.train_on == "last":
            return replace(rendered, spans=rendered.spans[-1:])
        if self.options.train_on == "all":
            return replace(rendered, spans=[(0, len(rendered.text), 1.0)])
        return rendered

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        tokens = run.token_losses(model, batch)
        return Loss((tokens.losses * tokens.weights).sum())


trainer = SFT()
