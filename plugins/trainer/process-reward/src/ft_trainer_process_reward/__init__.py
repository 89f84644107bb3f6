"""Process reward models (Lightman et al., 2023, arXiv:2305.20050)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ft.api import (
    Batch,
    Conversation,
    Encoded,
    Field,
    InputError,
    Loss,
    Run,
    Stepwise,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.api.heads import apply_head, new_head

if TYPE_CHECKING:
    from torch import nn

HEAD = "score"


class ProcessReward(Trainer):
    """Teaches a score for each step of an answer: how likely the step is right.

    After each step stands a separator, and a linear head, module `score`, reads the hidden state
    of its last token. The loss of a step is the binary cross-entropy with its verdict, which may
    be a share, such as how many of several continuations came to the right result. The loss of
    an optimizer step is the mean over all steps of its answers.

    The result is the model and `score.safetensors`. `ft export` writes both as a whole
    `…ForTokenClassification` with one label, whose sigmoid at a separator is the probability.
    """

    paper = "arXiv:2305.20050"
    takes = (Stepwise,)
    accepts = Trainer.accepts | {"streaming"}
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 1e-5}, "trackers": ["jsonl"]}

    class Options(TrainerOptions):
        separator: str = Field("\n\n", min_length=1, description="text that ends each step")
        train_on: Literal["all", "last"] = Field(
            "all", description="the verdicts of all steps, or of the last"
        )

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Stepwise]) -> list[dict[str, Encoded]]:
        asked = [
            run.render(
                Conversation(example.prompt, example.tools, origin=example.origin),
                generation_prompt=True,
            )
            for example in examples
        ]
        prompts = run.tokenize(asked)
        return [self._row(run, *pair) for pair in zip(examples, prompts, strict=True)]

    def _row(self, run: Run, example: Stepwise, prompt: Encoded) -> dict[str, Encoded]:
        """The tokens, of which those that end a step have a weight, and the verdicts.

        Verdicts are the weights of a sequence of their own, one behind the first for each step:
        numbers that are as many as an answer has steps are stored so.
        """
        if not example.steps or len(example.steps) != len(example.verdicts):
            raise InputError(
                f"there are {len(example.steps)} steps and {len(example.verdicts)} verdicts",
                where=str(example.origin),
                hint="each step needs a verdict",
            )
        ids, weights = list(prompt.input_ids), [0.0] * len(prompt)
        for number, step in enumerate(example.steps, 1):
            text = step + self.options.separator
            found = run.tokenizer(text, add_special_tokens=False)["input_ids"]
            counts = self.options.train_on == "all" or number == len(example.steps)
            ids += found
            weights += [0.0] * (len(found) - 1) + [float(counts)]
        kept = example.verdicts if self.options.train_on == "all" else example.verdicts[-1:]
        return {
            "steps": Encoded(ids, weights, per_token=_longer(prompt, len(ids)), media=prompt.media),
            "verdicts": Encoded([0] * (1 + len(kept)), [0.0, *map(float, kept)]),
        }

    @hookimpl
    def ft_add_modules(self, run: Run, model: nn.Module) -> Mapping[str, nn.Module]:
        return {HEAD: new_head(run, model, 1)}

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(batch["steps"]["weights"].sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        from torch.nn.functional import binary_cross_entropy_with_logits

        ends = batch["steps"]["weights"] > 0
        states = run.hidden_states(model, batch["steps"])[ends]
        scores = apply_head(run.modules[HEAD], states)[:, 0]
        # the n-th of a row's ends belongs to its n-th verdict, which stands behind the first place
        number = ends.cumsum(-1)[ends]
        wanted = batch["verdicts"]["weights"][ends.nonzero()[:, 0], number]
        losses = binary_cross_entropy_with_logits(scores, wanted, reduction="none")
        right = ((scores > 0) == (wanted > 0.5)).float()
        return Loss(losses.sum(), {"accuracy": right.sum()})

    @hookimpl
    def ft_save_model(self, run: Run, folder: Path) -> None:
        # beside what the adapter writes, which is asked next
        if run.process.is_main:
            about = {"each": "token", "id2label": {0: "right"}, "separator": self.options.separator}
            (folder / f"{HEAD}.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


def _longer(prompt: Encoded, length: int) -> dict[str, Sequence[int]]:
    """The prompt's further columns, with zeros for the text behind it."""
    return {
        name: [*values, *[0] * (length - len(values))] for name, values in prompt.per_token.items()
    }


trainer = ProcessReward()
