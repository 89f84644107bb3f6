"""Selective self-to-supervised fine-tuning (Gupta et al., 2025, arXiv:2502.08130)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from ft.api import (
    Answer,
    Batch,
    Conversation,
    Encoded,
    Field,
    Loss,
    Message,
    Prompt,
    Rollout,
    Run,
    Sampling,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.api.online import asked_of
from ft.api.reference import Reference

if TYPE_CHECKING:
    from torch import nn


class S3FTOptions(TrainerOptions):
    threshold: float = Field(
        1.0, description="the weighted sum of rewards from which on an answer counts as right"
    )
    max_new_tokens: int = Field(256, gt=0, description="longest answer of the model, in tokens")
    paraphrase: str | None = Field(
        None,
        description="where the model is wrong, what asks it to say the data's answer in its own "
        "words, with {question} and {answer}; unset: the data's answer is learned as it is",
    )

    @field_validator("paraphrase")
    @classmethod
    def _has_its_places(cls, value: str | None) -> str | None:
        if value is not None and not ("{question}" in value and "{answer}" in value):
            raise ValueError("wanted are the places {question} and {answer}")
        return value


class S3FT(Trainer):
    """Fine-tunes on the model's own answers where they are right, on the data's elsewhere.

    What the model would say anyhow changes it less: it learns the task and forgets less of the
    rest than on answers in other words. Before it trains, the model answers each prompt; the
    rewards of the run judge, with the data's answer in the column ``answer``. An answer that is
    not right is replaced by the data's, or by a paraphrase of it that is judged in turn.
    Evaluation is on the data's answers. The loss is the cross-entropy, a mean over tokens.
    """

    paper = "arXiv:2502.08130"
    takes = (Conversation,)
    needs = frozenset({"optimizer", "rewards"})
    provides = frozenset({"generation", "extra-loss"})
    accepts = Trainer.accepts | {"loss-kernel"}
    suggests = {
        "optimizer": {"name": "adamw", "learning_rate": 1e-5},
        "engine": "transformers",
        "trackers": ["jsonl"],
    }
    Options = S3FTOptions
    training_options = Trainer.training_options | {"threshold", "max_new_tokens", "paraphrase"}

    def __init__(self) -> None:
        self.reference: Reference | None = None
        self.chosen: dict[tuple[int, ...], Encoded | None] = {}

    @hookimpl
    def ft_start_process(self) -> None:
        self.chosen = {}  # of this run alone

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Conversation]) -> list[dict[str, Any]]:
        rows = run.tokenize([run.render(example) for example in examples])
        asked = [asked_of(example) for example in examples]
        prompts = run.tokenize([run.render(one, generation_prompt=True) for one in asked])
        return [
            {"tokens": row, "prompt": prompt, "example": example}
            for row, prompt, example in zip(rows, prompts, examples, strict=True)
        ]

    @hookimpl
    def ft_collate(self, run: Run, rows: Sequence[Any]) -> Batch | None:
        if not (isinstance(rows[0], Mapping) and "example" in rows[0]):
            return None
        return {"tokens": run.collate([row["tokens"] for row in rows]), "rows": list(rows)}

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        self.reference = Reference(run)

    @hookimpl
    def ft_make_batches(
        self, run: Run, model: nn.Module, batches: list[Batch]
    ) -> Iterator[list[Batch]]:
        yield [self._selected(run, batch) for batch in batches] if model.training else batches

    def _selected(self, run: Run, batch: Batch) -> Batch:
        """The same questions, with the model's own answers where these are right."""
        rows = batch["rows"]
        new = {self._key(row): row for row in rows if self._key(row) not in self.chosen}
        if new:
            self._choose(run, list(new.values()))
        own = [self.chosen[self._key(row)] for row in rows]
        run.report("own_answers", sum(one is not None for one in own) / len(own), weight=len(own))
        taught = (batch["tokens"]["weights"].sum(-1) > 0).tolist()
        if not all(taught):  # a share without rows keeps step and teaches nothing
            return batch
        chosen = [one or row["tokens"] for one, row in zip(own, rows, strict=True)]
        return {"tokens": run.to_device(run.collate(chosen))}

    @staticmethod
    def _key(row: Mapping[str, Any]) -> tuple[int, ...]:
        return tuple(row["tokens"].input_ids)

    def _choose(self, run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
        """Answer rows for the first time, and keep what is right."""
        examples = [row["example"] for row in rows]
        asked = [asked_of(example) for example in examples]
        found = self._right(run, examples, self._answers(run, asked))
        if self.options.paraphrase is not None:
            wrong = [i for i, answer in enumerate(found) if answer is None]
            again = self._answers(run, [self._rephrased(examples[i]) for i in wrong])
            right = self._right(run, [examples[i] for i in wrong], again)
            for i, answer in zip(wrong, right, strict=True):
                found[i] = answer
        for row, answer in zip(rows, found, strict=True):
            self.chosen[self._key(row)] = (
                None if answer is None else Rollout(row["prompt"], Prompt([]), answer).tokens()
            )

    def _answers(self, run: Run, asked: Sequence[Conversation]) -> list[Answer]:
        """Answers of the model from before the first step, the likeliest."""
        if not asked:
            return []
        assert self.reference is not None, "ft_add_modules comes first"
        with self.reference.asked(run, run.model) as model:
            return run.generate(asked, Sampling(self.options.max_new_tokens), model)

    def _right(
        self, run: Run, examples: Sequence[Conversation], answers: Sequence[Answer]
    ) -> list[Answer | None]:
        """Each answer that ends and that the rewards find right."""
        if not answers:
            return []
        given = [
            replace(asked_of(e), messages=[*asked_of(e).messages, answer.message])
            for e, answer in zip(examples, answers, strict=True)
        ]
        known = [replace(e, extra={"answer": answer_of(e).text, **e.extra}) for e in examples]
        scores = run.score(given, known)
        weights = {label: reward.options.weight for label, reward in run.rewards.items()}
        found: list[Answer | None] = []
        for i, answer in enumerate(answers):
            mine = {label: values[i] for label, values in scores.items()}
            total = sum(weights[label] * (score or 0.0) for label, score in mine.items())
            right = answer.finished and None not in mine.values()
            found.append(answer if right and total >= self.options.threshold else None)
        return found

    def _rephrased(self, example: Conversation) -> Conversation:
        assert self.options.paraphrase is not None
        text = self.options.paraphrase.replace("{question}", asked_of(example).messages[-1].text)
        return Conversation([Message("user", text.replace("{answer}", answer_of(example).text))])

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(batch["tokens"]["weights"].sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        tokens = run.token_losses(model, batch["tokens"])
        return Loss((tokens.losses * tokens.weights).sum(), outputs=tokens.outputs)


def answer_of(example: Conversation) -> Message:
    """The last answer of a conversation."""
    return [message for message in example.messages if message.role == "assistant"][-1]


trainer = S3FT()
