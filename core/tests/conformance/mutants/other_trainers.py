"""Trainers that pass every check and learn from what the reference trainer does not take.

Small forms of published methods, for the checks of preference, feedback and online trainers;
mutants are derived from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ft.api import (
    Conversation,
    Encoded,
    Feedback,
    Field,
    Loss,
    Preference,
    Prompt,
    Sampling,
    Trainer,
    TrainerOptions,
    hookimpl,
)


def answered(prompt, answer):
    """A conversation of which the answer alone is trained on."""
    return Conversation(
        [
            *(replace(message, train=False) for message in prompt),
            *(replace(message, train=message.role == "assistant") for message in answer),
        ]
    )


def sums(tokens, rows):
    """The log-probability of each of so many rows."""
    found = tokens.losses.new_zeros(rows)
    return found.index_add(0, tokens.documents, -tokens.losses * tokens.weights)


class Referring(Trainer):
    """Holds the model near its start: a copy, or the model itself with its adapter off."""

    accepts = Trainer.accepts
    copied = None

    class Options(TrainerOptions):
        beta: float = Field(0.5, gt=0, description="how strongly the reference holds")

    @hookimpl
    def ft_add_modules(self, run):
        if run.initial_weights() is None:
            self.copied = run.frozen_copy()

    def policy(self, run, model, batch):
        return sums(run.token_losses(model, batch), len(batch["input_ids"]))

    def reference(self, run, model, batch):
        import torch

        with torch.no_grad():
            if self.copied is not None:
                return self.policy(run, self.copied, batch)
            with run.initial_weights():
                return self.policy(run, model, batch)

    def log_ratio(self, run, model, batch):
        return self.policy(run, model, batch) - self.reference(run, model, batch)


class Preferring(Referring):
    """DPO (arXiv:2305.18290)."""

    takes = (Preference,)

    @hookimpl
    def ft_encode(self, run, examples):
        sides = [
            run.tokenize([run.render(self.conversation(e, side)) for e in examples])
            for side in ("chosen", "rejected")
        ]
        return [{"chosen": c, "rejected": r} for c, r in zip(*sides, strict=True)]

    def conversation(self, example, side):
        return answered(example.prompt, getattr(example, side))

    @hookimpl
    def ft_count_units(self, batch):
        return float((batch["chosen"]["weights"].sum(-1) > 0).sum())

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        from torch.nn import functional

        counted = (batch["chosen"]["weights"].sum(-1) > 0).float()
        ratios = {side: self.log_ratio(run, model, batch[side]) for side in batch}
        losses = -functional.logsigmoid(self.options.beta * self.margin(ratios))
        return Loss((losses * counted).sum())

    def margin(self, ratios):
        return ratios["chosen"] - ratios["rejected"]


class Judging(Referring):
    """KTO (arXiv:2402.01306) without its estimate of the divergence."""

    takes = (Feedback,)

    @hookimpl
    def ft_encode(self, run, examples):
        rows = run.tokenize([run.render(answered(e.prompt, e.answer)) for e in examples])
        return [
            {"answer": row, "towards": 1.0 if example.good else -1.0}
            for row, example in zip(rows, examples, strict=True)
        ]

    @hookimpl
    def ft_count_units(self, batch):
        return float((batch["answer"]["weights"].sum(-1) > 0).sum())

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        counted = (batch["answer"]["weights"].sum(-1) > 0).float()
        ratio = self.log_ratio(run, model, batch["answer"])
        gain = (self.options.beta * self.towards(batch) * ratio).sigmoid()
        return Loss(((1 - gain) * counted).sum())

    def towards(self, batch):
        return batch["towards"]


class Online(Trainer):
    """GRPO (arXiv:2402.03300) with one update a step."""

    takes = (Prompt,)
    needs = Trainer.needs | {"rewards"}
    provides = frozenset({"generation"})

    class Options(TrainerOptions):
        group: int = Field(6, gt=1, description="answers to each prompt")
        new_tokens: int = Field(64, gt=0, description="longest answer, in tokens")

    @hookimpl
    def ft_encode(self, run, examples):
        asked = [Conversation(example.messages) for example in examples]
        prompts = run.tokenize([run.render(one, generation_prompt=True) for one in asked])
        return [{"prompt": p, "example": e} for p, e in zip(prompts, examples, strict=True)]

    @hookimpl
    def ft_collate(self, rows):
        if isinstance(rows[0], Mapping) and "example" in rows[0]:
            return {"asked": rows}
        return None  # answers are padded as everything else is

    @hookimpl
    def ft_make_batches(self, run, batches):
        return [[self.answer(run, batch["asked"]) for batch in batches]]

    def answer(self, run, asked):
        import torch

        rows = [row for row in asked for _ in range(self.options.group)]
        questions = [Conversation(row["example"].messages) for row in rows]
        sampling = Sampling(max_new_tokens=self.options.new_tokens, temperature=1.0)
        answers = run.generate(questions, sampling)
        complete = [
            Conversation([*question.messages, answer.message])
            for question, answer in zip(questions, answers, strict=True)
        ]
        scores = run.score(complete, [row["example"] for row in rows])
        total = torch.tensor([sum(one) for one in zip(*scores.values(), strict=True)])
        run.report("reward", total.mean(), weight=len(rows))
        grouped = total.reshape(-1, self.options.group)
        centred = grouped - grouped.mean(1, keepdim=True)
        advantages = (centred / (grouped.std(1, keepdim=True) + 1e-4)).reshape(-1)
        made = [
            {"tokens": joined(row["prompt"], answer), "advantage": float(advantage)}
            for row, answer, advantage in zip(rows, answers, advantages, strict=True)
        ]
        return run.to_device(run.collate(made))

    @hookimpl
    def ft_count_units(self, batch):
        return float(batch["tokens"]["weights"].sum())

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        tokens = run.token_losses(model, batch["tokens"])
        ratio = (tokens.losses.detach() - tokens.losses).exp()
        advantage = batch["advantage"][tokens.documents]
        return Loss(-(ratio * advantage * tokens.weights).sum())


def joined(prompt, answer):
    """A prompt and the answer to it, of which the answer is trained on."""
    ids = [*prompt.input_ids, *answer.token_ids]
    return Encoded(ids, [0.0] * len(prompt.input_ids) + [1.0] * len(answer.token_ids))


preferring, judging, online = Preferring(), Judging(), Online()
