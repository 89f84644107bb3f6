"""Pre-training, continued or from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ft.api import (
    Batch,
    Capabilities,
    Encoded,
    Field,
    Loss,
    Run,
    Text,
    Trainer,
    TrainerOptions,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import nn


class Pretrain(Trainer):
    """Cross-entropy on every token of plain text.

    Documents are split at ``max_length`` and packed; no document attends to another. An
    evaluation reports the plain loss, whatever smoothing the training has.
    """

    takes = (Text,)
    accepts = Trainer.accepts | {"packing", "loss-kernel", "streaming"}
    provides = frozenset({"extra-loss"})
    suggests = {"optimizer": "adamw", "trackers": ["jsonl"]}

    class Options(TrainerOptions):
        over_length: Literal["drop", "truncate", "split", "error"] = Field(
            "split", description="what happens to a longer document"
        )
        packing: bool = Field(True, description="fill sequences with several documents")
        label_smoothing: float = Field(
            0.0,
            ge=0,
            lt=1,
            description="share of each loss that is spread over the vocabulary (arXiv:1512.00567)",
        )

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(provides={"label-smoothing"}) if self.options.label_smoothing else said

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Text]) -> list[Encoded]:
        return run.encode_text([example.text for example in examples])

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        smoothing = self.options.label_smoothing if model.training else 0.0
        tokens = run.token_losses(model, batch, smoothing)
        return Loss((tokens.losses * tokens.weights).sum(), outputs=tokens.outputs)


trainer = Pretrain()
