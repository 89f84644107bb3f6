"""Generalized knowledge distillation (Agarwal et al., 2023, arXiv:2306.13649)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from ft.api import (
    Batch,
    Capabilities,
    Conversation,
    Field,
    Prompt,
    Rollout,
    Run,
    Sampling,
    hookimpl,
)
from ft.api.online import asked_of
from ft_trainer_distill import Distill, DistillOptions

if TYPE_CHECKING:
    from torch import nn


class GKDOptions(DistillOptions):
    on_policy: float = Field(
        0.5,
        ge=0,
        le=1,
        description="lambda: share of the steps on answers that the student writes itself",
    )
    loss: Literal["forward_kl", "reverse_kl", "js"] = Field(
        "js",
        description="forward_kl: cover all that the teacher would say; reverse_kl: say only what "
        "it would; js: between the two",
    )
    ce_weight: float = Field(
        0.0, ge=0, le=1, description="share of the data's own cross-entropy, on its own answers"
    )
    max_new_tokens: int = Field(256, gt=0, description="longest answer, in tokens")
    sampling_temperature: float = Field(1.0, gt=0, description="of the student's answers")

    @model_validator(mode="after")
    def _has_the_whole_distribution(self) -> GKDOptions:
        if self.likeliest:
            raise ValueError("what a teacher said before says nothing on the student's answers")
        if self.packing:
            raise ValueError("gkd and packing do not go together: answers are yet to be written")
        return self


class GKD(Distill):
    """Teaches a student what a teacher would say next to what the student itself has written.

    A student that only ever reads the data's answers never learns to go on after mistakes of its
    own. In ``on_policy`` of the steps the answers are the student's, in the others the data's;
    the loss is the divergence to the teacher at each token of the answer.
    """

    paper = "arXiv:2306.13649"
    Options = GKDOptions
    accepts = Distill.accepts - {"packing"}
    suggests = {**Distill.suggests, "engine": "transformers"}
    training_options = Distill.training_options | {
        *("on_policy", "max_new_tokens", "sampling_temperature")
    }
    samples = ({"on_policy": 0.0, "ce_weight": 1.0},)

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(provides={"generation"}) if self.options.on_policy else said

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Conversation]) -> list[dict[str, Any]]:
        rows = run.tokenize([run.render(example) for example in examples])
        asked = [asked_of(example) for example in examples]
        prompts = run.tokenize([run.render(one, generation_prompt=True) for one in asked])
        return [
            {"tokens": row, "prompt": prompt, "asked": one}
            for row, prompt, one in zip(rows, prompts, asked, strict=True)
        ]

    @hookimpl
    def ft_collate(self, run: Run, rows: Sequence[Any]) -> Batch | None:
        if not (isinstance(rows[0], Mapping) and "asked" in rows[0]):
            return None
        return {"tokens": run.collate([row["tokens"] for row in rows]), "rows": list(rows)}

    @hookimpl
    def ft_make_batches(
        self, run: Run, model: nn.Module, batches: list[Batch]
    ) -> Iterator[list[Batch]]:
        import torch

        own = model.training and float(torch.rand(())) < self.options.on_policy
        run.report("on_policy", float(own))
        yield [self._answered(run, batch) for batch in batches] if own else batches

    def _answered(self, run: Run, batch: Batch) -> Batch:
        """The same questions with answers of the student."""
        options, rows = self.options, batch["rows"]
        sampling = Sampling(options.max_new_tokens, options.sampling_temperature)
        answers = run.generate([row["asked"] for row in rows], sampling)
        counted = (batch["tokens"]["weights"].sum(-1) > 0).tolist()
        written = [
            Rollout(row["prompt"], Prompt([]), answer, counts=counts).tokens()
            for row, answer, counts in zip(rows, answers, counted, strict=True)
        ]
        run.report("answer_length", sum(len(a.token_ids) for a in answers) / len(answers))
        return {"tokens": run.to_device(run.collate(written)), "own": True}

    def ce_share(self, batch: Batch) -> float:
        return 0.0 if batch.get("own") else super().ce_share(batch)


trainer = GKD()
