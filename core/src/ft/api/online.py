"""Trainers that learn from what the model writes while it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from ft.api._markers import hookimpl
from ft.api.capability import Capabilities
from ft.api.engine import Answer, Sampling
from ft.api.examples import Conversation, Encoded, Prompt
from ft.api.reference import Reference
from ft.api.trainer import Batch, TokenLosses, Trainer, TrainerOptions
from ft.errors import InputError, RunError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft.api.run import Run

COMPARED = 8
"""Answers whose log-probabilities the engine and the trainer compare."""


class OnlineOptions(TrainerOptions):
    """What every trainer understands that has the model answer prompts.

    A row is a prompt: ``batch_size`` prompts make one step.
    """

    generations: int = Field(8, gt=0, description="answers to each prompt")
    max_new_tokens: int = Field(256, gt=0, description="longest answer, in tokens")
    temperature: float = Field(
        1.0, gt=0, description="of sampling, and of the policy that is trained"
    )
    top_p: float = Field(1.0, gt=0, le=1, description="sample from the likeliest of this mass")
    top_k: int = Field(0, ge=0, description="sample from so many of the likeliest; 0: from all")
    answers_per_pass: int | None = Field(
        None, gt=0, description="answers in one forward pass; unset: those of a micro batch"
    )
    updates: int = Field(1, gt=0, description="optimizer steps on the same answers")
    mask_unfinished: bool = Field(
        False, description="learn nothing from answers that max_new_tokens cut off"
    )
    engine_tolerance: float | None = Field(
        0.1,
        gt=0,
        description="how far engine and trainer may disagree, in mean log-probability of a token, "
        "in the first step; unset: as far as they do",
    )


@dataclass(slots=True)
class Rollout:
    """One answer to a prompt, and what it is worth.

    ``reward`` is the weighted sum of ``scores``, nan where it could not be told. ``counts`` is
    false for what nothing is to be learned from.
    """

    prompt: Encoded
    example: Prompt
    answer: Answer
    scores: Mapping[str, float | None] = field(default_factory=dict)
    reward: float = float("nan")
    counts: bool = True

    def tokens(self) -> Encoded:
        """Prompt and answer as one sequence, of which the answer is trained on."""
        prompt, written = self.prompt, list(self.answer.token_ids)
        return Encoded(
            [*prompt.input_ids, *written],
            [0.0] * len(prompt) + [float(self.counts)] * len(written),
            {name: [*column, *[0] * len(written)] for name, column in prompt.per_token.items()},
            prompt.media,
        )


class OnlineTrainer(Trainer):
    """A method that learns from answers which the model writes as it goes, and rewards judge.

    A subclass implements :func:`ft_make_batches` from :meth:`roll_out` and :meth:`collate`, and
    :func:`ft_compute_loss`. The formulas that such methods share are in :mod:`ft.api.policy`.
    """

    takes = (Prompt,)
    needs = frozenset({"optimizer", "rewards"})
    provides = frozenset({"generation"})
    accepts = Trainer.accepts | {"loss-kernel"}
    Options: ClassVar[type[OnlineOptions]] = OnlineOptions
    training_options = Trainer.training_options | (
        OnlineOptions.model_fields.keys() - TrainerOptions.model_fields.keys()
    )

    reference: Reference | None = None
    _compared = False

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if self.options.temperature == 1:
            return said
        # a fused kernel gives losses and no logits, which would have to be divided
        return replace(said, accepts=said.accepts - {"loss-kernel"})

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Prompt]) -> list[dict[str, Any]]:
        asked = [question(example) for example in examples]
        prompts = run.tokenize([run.render(one, generation_prompt=True) for one in asked])
        return [{"prompt": p, "example": e} for p, e in zip(prompts, examples, strict=True)]

    @hookimpl
    def ft_collate(self, rows: Sequence[Any]) -> Batch | None:
        import torch

        if not (isinstance(rows[0], Mapping) and "example" in rows[0]):
            return None  # answers are padded as everything else is
        return {"asked": list(rows), "weights": torch.ones(len(rows))}

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float((batch["tokens"]["weights"].sum(-1) > 0).sum())

    # -- answers -------------------------------------------------------------------------------

    def roll_out(self, run: Run, asked: Batch) -> list[Rollout]:
        """Answers to the prompts of a micro batch, those to one prompt one after another.

        They are scored by the rewards of the run, and what was found is reported.
        """
        count = self.options.generations
        rows = [row for row in asked["asked"] for _ in range(count)]
        weights = [weight > 0 for weight in asked["weights"].tolist() for _ in range(count)]
        answers = run.generate([question(row["example"]) for row in rows], self.sampling)
        rollouts = [
            Rollout(row["prompt"], row["example"], answer)
            for row, answer in zip(rows, answers, strict=True)
        ]
        self._score(run, rollouts, count)
        for rollout, taught in zip(rollouts, weights, strict=True):
            cut = self.options.mask_unfinished and not rollout.answer.finished
            rollout.counts = taught and rollout.reward == rollout.reward and not cut
        self._report(run, [r for r, taught in zip(rollouts, weights, strict=True) if taught])
        return rollouts

    @property
    def sampling(self) -> Sampling:
        """How answers are sampled."""
        options = self.options
        return Sampling(
            options.max_new_tokens,
            options.temperature,
            options.top_p,
            options.top_k,
            log_probs=options.engine_tolerance is not None and not self._compared,
        )

    def _score(self, run: Run, rollouts: Sequence[Rollout], group: int) -> None:
        """Add the scores up by weight.

        A reward that scores no answer to a prompt has nothing to say on it; where it scores
        some, the others have no reward at all.
        """
        if not run.rewards:
            return
        scores = run.score(
            [
                Conversation([*r.example.messages, r.answer.message], r.example.tools)
                for r in rollouts
            ],
            [r.example for r in rollouts],
        )
        weights = {label: reward.options.weight for label, reward in run.rewards.items()}
        for start in range(0, len(rollouts), group):
            members = range(start, start + group)
            known = [name for name, s in scores.items() if any(s[i] is not None for i in members)]
            for i in members:
                given = {name: scores[name][i] for name in known}
                rollouts[i].scores = given
                if given and None not in given.values():
                    rollouts[i].reward = sum(weights[name] * (s or 0) for name, s in given.items())

    def _report(self, run: Run, rollouts: Sequence[Rollout]) -> None:
        for label in run.rewards:
            found = [s for r in rollouts if (s := r.scores.get(label)) is not None]
            _report_mean(run, f"reward/{label}", found)
        if run.rewards:
            _report_mean(run, "reward", [r.reward for r in rollouts if r.reward == r.reward])
        _report_mean(run, "answer_length", [len(r.answer.token_ids) for r in rollouts])
        _report_mean(run, "finished", [r.answer.finished for r in rollouts])

    # -- batches -------------------------------------------------------------------------------

    def collate(
        self,
        run: Run,
        rollouts: Sequence[Rollout],
        together: int = 1,
        **columns: Sequence[float],
    ) -> list[Batch]:
        """Micro batches of at most ``answers_per_pass`` answers, on the device.

        Each has prompt and answer under ``tokens``, and a tensor of shape (answers,) for each
        of ``columns``. Every ``together`` answers are in one micro batch.
        """
        size = self.options.answers_per_pass or len(rollouts)
        size = max(1, size // together) * together
        rows = [{"tokens": rollout.tokens()} for rollout in rollouts]
        for name, values in columns.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = float(value)  # type: ignore[assignment]
        batches = []
        for start in range(0, len(rows), size):
            made = run.collate(rows[start : start + size])
            batches.append(run.to_device(made))
        return batches

    def compare_engine(self, run: Run, model: nn.Module, rollouts: Sequence[Rollout]) -> None:
        """Raise where the engine's log-probabilities are not the trainer's, in the first step.

        An engine with stale weights, another precision or another tokenization samples from
        another policy than the one that is trained.
        """
        chosen = [r for r in rollouts if r.answer.log_probs and r.counts][:COMPARED]
        if self._compared or self.options.engine_tolerance is None or not chosen:
            return
        import torch

        self._compared = True
        batch = run.to_device(run.collate([rollout.tokens() for rollout in chosen]))
        found = self.measured(run, model, batch)
        said = torch.tensor([p for r in chosen for p in r.answer.log_probs or ()]).to(found)
        apart = float((found - said).abs().mean())
        if apart > self.options.engine_tolerance:
            raise RunError(
                f"{run.part('engine')!r} and the trainer disagree by {apart:.3g} in the "
                f"log-probability of a token, in the mean over {len(said)} tokens of the first "
                "answers: what is generated is not what is trained",
                hint="have both use the same weights, precision and template; or allow more with "
                "trainer.engine_tolerance",
            )

    # -- log-probabilities ---------------------------------------------------------------------

    def log_probs(self, run: Run, model: nn.Module, batch: Batch) -> tuple[Tensor, TokenLosses]:
        """Of each token of the answers under the policy, of shape (N,), with what it came from."""
        import torch

        tokens = run.token_losses(model, batch)
        if self.options.temperature == 1:
            return -tokens.losses, tokens
        logits = tokens.outputs.logits
        logits = logits.reshape(-1, logits.shape[-1]).float() / self.options.temperature
        targets = batch["input_ids"].flatten()[batch["predicts"] + 1]
        return torch.log_softmax(logits, -1).gather(-1, targets[:, None])[:, 0], tokens

    def measured(self, run: Run, model: nn.Module, batch: Batch) -> Tensor:
        """Log-probabilities as :meth:`log_probs` has them, without dropout and without a graph."""
        import torch

        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                return self.log_probs(run, model, batch)[0]
        finally:
            model.train(training)

    def keep_reference(self, run: Run) -> None:
        """Have :meth:`reference_log_probs` at hand: call it in :func:`ft_add_modules`."""
        self.reference = Reference(run)

    def reference_log_probs(self, run: Run, model: nn.Module, batch: Batch) -> Tensor:
        """Of each token under the model from before the first step, of shape (N,)."""
        assert self.reference is not None, "keep_reference comes first"
        with self.reference.asked(run, model) as asked:
            return self.log_probs(run, asked, batch)[0]


def question(example: Prompt | Conversation) -> Conversation:
    """What the model is asked."""
    return Conversation(example.messages, example.tools, origin=example.origin, extra=example.extra)


def asked_of(example: Conversation) -> Conversation:
    """A conversation up to its last answer. Raises :class:`ft.api.InputError` without one."""
    messages = list(example.messages)
    last = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=0)
    if not last:
        raise InputError(
            "the row has no answer, so that nothing is asked",
            where=str(example.origin) if example.origin else None,
        )
    return replace(example, messages=messages[:last])


def _report_mean(run: Run, name: str, values: Sequence[float]) -> None:
    mean = sum(values) / len(values) if values else 0.0
    run.report(name, mean, weight=len(values))
