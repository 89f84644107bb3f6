"""The reference trainer: cross-entropy on what the assistant writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ft.api import Conversation, Encoded, Loss, Run, Trainer, hookimpl


class Supervised(Trainer):
    """The weighted mean over all trained tokens of a step."""

    takes = (Conversation,)
    accepts = Trainer.accepts | {"packing", "loss-kernel"}
    provides = frozenset({"extra-loss"})

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Conversation]) -> list[Encoded]:
        return run.tokenize([run.render(example) for example in examples])

    @hookimpl
    def ft_compute_loss(self, run: Run, model: Any, batch: Any) -> Loss:
        tokens = run.token_losses(model, batch)
        return Loss((tokens.losses * tokens.weights).sum(), outputs=tokens.outputs)


trainer = Supervised()
