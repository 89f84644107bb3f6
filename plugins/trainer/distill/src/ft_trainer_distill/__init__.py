"""Knowledge distillation (Hinton et al., 2015, arXiv:1503.02531)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from ft.api import (
    Batch,
    Capabilities,
    Conversation,
    Field,
    InputError,
    Loss,
    Run,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.api.reference import Reference
from ft_trainer_distill.divergence import divergence, top_and_rest
from ft_trainer_distill.rows import TOP, collate_top, read_top
from ft_trainer_distill.service import Service, ask_all

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Distill", "DistillOptions", "divergence", "top_and_rest", "trainer"]


class DistillOptions(TrainerOptions):
    teacher: str | None = Field(
        None,
        description="the teacher, as a recipe names a model, with the same vocabulary; unset: the "
        "model from before the first step, which the student stays near",
    )
    stored: bool = Field(
        False,
        description="the teacher's likeliest tokens stand in the rows, in the columns top_ids and "
        "top_log_probs: for each trained token a list of ids and one of log-probabilities",
    )
    service: Service | None = Field(
        None,
        description="a teacher behind an API, with url and model: it is asked for its likeliest "
        "tokens while the data is prepared, once",
    )
    loss: Literal["forward_kl", "reverse_kl", "js"] = Field(
        "forward_kl",
        description="forward_kl: cover all that the teacher would say; reverse_kl: say only what "
        "it would; js: between the two (2306.13649)",
    )
    mix: float = Field(
        0.5, gt=0, lt=1, description="js: the teacher's share in the mixture that both go to"
    )
    temperature: float = Field(
        1.0, gt=0, description="what logits of both are divided by; the loss is scaled back by T²"
    )
    ce_weight: float = Field(
        0.5, ge=0, le=1, description="share of the data's own cross-entropy in the loss"
    )

    @model_validator(mode="after")
    def _one_teacher(self) -> DistillOptions:
        named = [n for n in ("teacher", "stored", "service") if getattr(self, n)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are two teachers: leave one out")
        if self.likeliest and self.temperature != 1:
            raise ValueError(f"with {named[0]}, log-probabilities are those at a temperature of 1")
        if self.likeliest and self.packing:
            raise ValueError(f"{named[0]} and packing do not go together")
        return self

    @property
    def likeliest(self) -> bool:
        """Whether only the teacher's likeliest tokens are known."""
        return self.stored or self.service is not None


class Distill(Trainer):
    """Teaches a student what a teacher would say, token by token, on given answers.

    At each trained token the loss is the divergence between the two distributions over the
    vocabulary, mixed with the cross-entropy of the data (``ce_weight``). The teacher is a model
    with the same vocabulary, one behind an API (vLLM's server), or what one said before: rows
    with ``top_ids`` and ``top_log_probs``. Where only the likeliest tokens are known, all others
    count as one more. The loss is a mean over tokens.
    """

    paper = "arXiv:1503.02531"
    takes = (Conversation,)
    accepts = Trainer.accepts | {"packing"}
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 1e-5}, "trackers": ["jsonl"]}
    Options: ClassVar[type[DistillOptions]] = DistillOptions
    training_options = Trainer.training_options | {
        *("teacher", "loss", "mix", "temperature", "ce_weight")
    }

    teacher: Run | None = None
    """The run around the teacher; without one it is the model from before the first step."""
    reference: Reference | None = None

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if not self.options.likeliest:
            return said
        return Capabilities(said.needs, said.accepts - {"packing"}, said.provides, said.conflicts)

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Conversation]) -> Sequence[Any]:
        rows = run.tokenize([run.render(example) for example in examples])
        if self.options.service is not None:
            known = ask_all(self.options.service, rows)
        elif self.options.stored:
            pairs = zip(examples, rows, strict=True)
            known = [read_top(example, row, len(run.tokenizer)) for example, row in pairs]
        else:
            return rows
        return [{"tokens": row, TOP: top} for row, top in zip(rows, known, strict=True)]

    @hookimpl
    def ft_collate(self, run: Run, rows: Sequence[Any]) -> Batch | None:
        if not (isinstance(rows[0], Mapping) and TOP in rows[0]):
            return None
        tokens = run.collate([row["tokens"] for row in rows])
        return {"tokens": tokens, TOP: collate_top([row[TOP] for row in rows])}

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        if self.options.teacher is not None:
            self.teacher = run.open_model(self.options.teacher)
            if self.options.packing and "packing" not in self.teacher.family.accepts:
                raise InputError(
                    f"{self.teacher.family.title} does not keep packed documents apart",
                    where=self.options.teacher,
                    hint="set trainer.packing: false",
                )
        elif not self.options.likeliest:
            self.reference = Reference(run)

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(batch.get("tokens", batch)["weights"].sum())

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        options = self.options
        tokens = batch.get("tokens", batch)
        said = run.token_losses(model, tokens)
        student = flat(said.outputs.logits) / options.temperature
        if options.likeliest:
            apart = self._from_stored(student, batch[TOP])
        else:
            teacher = self.teacher_logits(run, model, tokens) / options.temperature
            # embeddings are padded to different sizes; no token has an id beyond the vocabulary
            width = min(student.shape[-1], teacher.shape[-1])
            apart = divergence(
                teacher[:, :width].log_softmax(-1),
                student[:, :width].log_softmax(-1),
                options.loss,
                options.mix,
            )
        apart = apart * options.temperature**2
        share = self.ce_share(batch)
        losses = (1 - share) * apart + share * said.losses
        return Loss(
            (losses * said.weights).sum(),
            {
                "divergence": (apart.detach() * said.weights).sum(),
                "cross_entropy": (said.losses.detach() * said.weights).sum(),
            },
            said.outputs,
        )

    def ce_share(self, batch: Batch) -> float:
        """The share of the cross-entropy in the loss of a micro batch."""
        share: float = self.options.ce_weight
        return share

    def _from_stored(self, student: Tensor, top: Tensor) -> Tensor:
        ids, log_probs = top[..., 0].long(), top[..., 1].float()
        known = top_and_rest(log_probs, ids >= 0)
        chosen = student.log_softmax(-1).gather(-1, ids.clamp(min=0))
        own = top_and_rest(chosen, ids >= 0)
        return divergence(known, own, self.options.loss, self.options.mix)

    def teacher_logits(self, run: Run, model: nn.Module, tokens: Batch) -> Tensor:
        """The teacher's logits before each trained token, of shape (N, vocabulary)."""
        import torch

        if self.teacher is not None:
            with torch.no_grad():
                found = self.teacher.token_losses(self.teacher.model, tokens)
            return flat(found.outputs.logits)
        assert self.reference is not None, "ft_add_modules comes first"
        with self.reference.asked(run, model) as asked:
            return flat(run.token_losses(asked, tokens).outputs.logits)


def flat(logits: Tensor) -> Tensor:
    """Logits at trained positions, float32 of shape (N, vocabulary)."""
    return logits.reshape(-1, logits.shape[-1]).float()


trainer = Distill()
