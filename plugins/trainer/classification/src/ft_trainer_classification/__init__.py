"""Classification with a head on the last token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ft.api import (
    Batch,
    Conversation,
    Encoded,
    Field,
    InputError,
    Labelled,
    Loss,
    Run,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.api.heads import apply_head, last_states, new_head
from ft.api.preference import counted

if TYPE_CHECKING:
    from torch import nn

HEAD = "score"


class Classification(Trainer):
    """Teaches a class for each text or conversation: sentiment, topic, safe or not.

    A linear head without bias, module `score`, reads the hidden state of the last token; the loss
    of a step is the mean cross-entropy over its rows. A text is encoded as it is, with the end
    token behind it; a conversation by the chat template.

    The result is the model and `score.safetensors`, with the names of the classes in
    `score.json`. `ft export` writes both as a whole `…ForSequenceClassification`.
    """

    takes = (Labelled,)
    accepts = Trainer.accepts | {"streaming"}
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 2e-5}, "trackers": ["jsonl"]}
    samples = ({"classes": ["first", "second"]},)

    class Options(TrainerOptions):
        classes: tuple[str, ...] = Field(
            min_length=2, description="names of the classes, in the order of the head's outputs"
        )
        over_length: Literal["drop", "truncate", "error"] = Field(
            "truncate", description="what happens to a longer row: cut, left out, or an error"
        )

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Labelled]) -> list[dict[str, Any]]:
        texts = [e.content for e in examples if isinstance(e.content, str)]
        talks = [
            run.render(Conversation(e.content, origin=e.origin))
            for e in examples
            if not isinstance(e.content, str)
        ]
        encoded = iter(run.encode_text(texts) if texts else [])
        rendered = iter(run.tokenize(talks) if talks else [])
        return [
            {
                "text": whole(next(encoded if isinstance(example.content, str) else rendered)),
                "label": self._number(example),
            }
            for example in examples
        ]

    def _number(self, example: Labelled) -> int:
        classes = self.options.classes
        if example.label not in classes:
            raise InputError(
                f"the class {example.label!r} is none of {', '.join(classes)}",
                where=str(example.origin),
                hint="add it to trainer.classes, or mend the row",
            )
        return classes.index(example.label)

    @hookimpl
    def ft_add_modules(self, run: Run, model: nn.Module) -> Mapping[str, nn.Module]:
        return {HEAD: new_head(run, model, len(self.options.classes))}

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(counted(batch["text"]).sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        from torch.nn.functional import cross_entropy

        counts, labels = counted(batch["text"]), batch["label"].long()
        logits = apply_head(run.modules[HEAD], last_states(run, model, batch["text"]))
        losses = cross_entropy(logits, labels, reduction="none")
        right = (logits.argmax(-1) == labels).float()
        return Loss((losses * counts).sum(), {"accuracy": (right * counts).sum()})

    @hookimpl
    def ft_save_model(self, run: Run, folder: Path) -> None:
        # beside what the adapter writes, which is asked next
        if run.process.is_main:
            names = {"id2label": dict(enumerate(self.options.classes))}
            (folder / f"{HEAD}.json").write_text(json.dumps(names, indent=2), encoding="utf-8")


def whole(row: Encoded) -> Encoded:
    """The row with a weight for each token: none is trained on, and all of it counts."""
    return replace(row, weights=[1.0] * len(row))


trainer = Classification()
