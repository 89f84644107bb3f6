"""Direct preference optimization (Rafailov et al., 2023, arXiv:2305.18290) and its relatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import model_validator

from ft.api import (
    Batch,
    Encoded,
    Field,
    Loss,
    Preference,
    Run,
    TrainerOptions,
    hookimpl,
)
from ft.api.preference import SIDES, Likelihood, PairTrainer, counted, likelihood
from ft.api.reference import Reference
from ft_trainer_dpo.losses import LOSSES, SCORED, SMOOTHED, Pairs, Settings, scores
from ft_trainer_dpo.precomputed import Said, add_log_probs, likelihoods_in

if TYPE_CHECKING:
    from torch import Tensor, nn

Name = Literal[
    "sigmoid",
    "sigmoid_norm",
    "hinge",
    "ipo",
    "robust",
    "exo_pair",
    "nca_pair",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
]


class DPO(PairTrainer):
    """Raises the log-probability of chosen answers over rejected ones, against a reference.

    The reference is the model before the first step: from the model itself where the adapter
    can bring those weights back (a fresh LoRA that is switched off), and a frozen copy
    otherwise. The loss of a step is the mean over its pairs; `loss` chooses which one, or mixes
    several by weight. MPO (arXiv:2411.10442) is
    `loss: {sigmoid: 0.8, bco_pair: 0.2}` with `sft_weight: 1`.

    The two `aot` losses sort the pairs of a micro batch, so that its size matters to them; to
    the others it does not.
    """

    paper = "arXiv:2305.18290"
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 5e-6}, "trackers": ["jsonl"]}
    training_options = PairTrainer.training_options | {
        *("beta", "loss", "label_smoothing", "discopop_tau", "sft_weight", "divergence", "alpha"),
        *("reference_free", "precompute_reference"),
    }

    class Options(TrainerOptions):
        beta: float = Field(0.1, gt=0, description="how strongly the reference holds")
        loss: Name | Annotated[dict[Name, float], Field(min_length=1)] = Field(
            "sigmoid",
            description="sigmoid: DPO; or another, or weights of several, as in "
            "{sigmoid: 0.8, bco_pair: 0.2}",
        )
        label_smoothing: float = Field(
            0.0,
            ge=0,
            lt=0.5,
            description="share of pairs taken to be the wrong way round; exo_pair and robust are "
            "about it, and sigmoid, sigmoid_norm and aot understand it",
        )
        discopop_tau: float = Field(
            0.05, gt=0, description="temperature at which discopop turns exponential"
        )
        sft_weight: float = Field(
            0.0, ge=0, description="weight of the chosen answers' cross-entropy added to the loss"
        )
        divergence: Literal["reverse_kl", "forward_kl", "js", "alpha"] = Field(
            "reverse_kl",
            description="how the distance to the reference is measured (f-DPO, arXiv:2309.16240)",
        )
        alpha: float = Field(
            0.5, gt=0, lt=1, description="of divergence alpha: near 0 reverse KL, near 1 forward"
        )
        ld_alpha: float | None = Field(
            None,
            ge=0,
            le=1,
            description="weight of the tokens by which one answer is longer than the other "
            "(LD-DPO, arXiv:2409.06411); unset: 1",
        )
        reference_free: bool = Field(
            False, description="a reference that finds all answers equally likely"
        )
        precompute_reference: bool = Field(
            False,
            description="ask the reference once, ahead of training, and keep what it says in the "
            "run folder: faster over several epochs, and no second model in memory while training",
        )

        @property
        def losses(self) -> Mapping[Any, float]:
            """The weight of each loss."""
            return {self.loss: 1.0} if isinstance(self.loss, str) else self.loss

        @model_validator(mode="after")
        def _losses_have_what_they_need(self) -> Self:
            names = set(self.losses)
            if self.label_smoothing and not names & SMOOTHED:
                raise ValueError(
                    f"label_smoothing has no meaning for {', '.join(sorted(names))}; it has one "
                    f"for {', '.join(sorted(SMOOTHED))}"
                )
            if "exo_pair" in names and not self.label_smoothing:
                raise ValueError("exo_pair needs label_smoothing above 0, such as 0.001")
            if self.divergence != "reverse_kl" and (odd := names - SCORED):
                raise ValueError(
                    f"{', '.join(sorted(odd))} is defined for divergence reverse_kl alone"
                )
            return self

        @model_validator(mode="after")
        def _reference_can_be_asked_ahead(self) -> Self:
            if self.precompute_reference and self.streaming:
                raise ValueError("precompute_reference needs all data ahead, and streaming has not")
            if self.precompute_reference and self.reference_free:
                raise ValueError("reference_free asks no reference that could be precomputed")
            return self

    reference: Reference | None = None
    precomputed: Said | None = None

    @hookimpl
    def ft_encode(self, run: Run, examples: Sequence[Preference]) -> list[dict[str, Any]]:
        rows = super().ft_encode(run, examples)
        if self.options.ld_alpha is not None:
            for row in rows:
                _lighten_tails(row, self.options.ld_alpha)
        return rows

    @hookimpl
    def ft_add_modules(self, run: Run, model: nn.Module) -> None:
        # here and no later: a run that resumes puts its checkpoint's weights back afterwards
        if self.options.reference_free:
            return
        if self.options.precompute_reference:
            self.precomputed = add_log_probs(run, model)
        else:
            self.reference = Reference(run)

    @hookimpl
    def ft_run_started(self) -> None:
        # no earlier: until here a run that fails leaves an empty folder, to be tried again
        if self.precomputed is not None:
            self.precomputed.write()
            self.precomputed = None

    @hookimpl
    def ft_compute_loss(self, run: Run, model: nn.Module, batch: Batch) -> Loss:
        options = self.options
        counts = counted(batch["chosen"])
        policy = {side: likelihood(run, model, batch[side]) for side in SIDES}
        pairs = self._pairs(policy, self._reference(run, model, batch))
        settings = Settings(options.beta, options.label_smoothing, options.discopop_tau)
        losses = sum(
            weight * LOSSES[name](pairs, settings) for name, weight in options.losses.items()
        )
        if options.sft_weight:
            losses = losses - options.sft_weight * policy["chosen"].means
        chosen, rejected = pairs.chosen.detach(), pairs.rejected.detach()
        return Loss(
            (losses * counts).sum(),
            {
                "margin": (options.beta * (chosen - rejected) * counts).sum(),
                "accuracy": ((chosen > rejected).float() * counts).sum(),
                "chosen_reward": (options.beta * chosen * counts).sum(),
                "rejected_reward": (options.beta * rejected * counts).sum(),
            },
        )

    def _reference(self, run: Run, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """The reference's log-probabilities of both sides, each of shape (pairs,)."""
        if self.options.reference_free:
            return dict.fromkeys(SIDES, counted(batch["chosen"]) * 0)
        if self.reference is None:
            return likelihoods_in(batch)
        with self.reference.asked(run, model) as reference:
            return {side: likelihood(run, reference, batch[side]).log_probs for side in SIDES}

    def _pairs(self, policy: Mapping[str, Likelihood], reference: Mapping[str, Tensor]) -> Pairs:
        ratios = {side: policy[side].log_probs - reference[side] for side in SIDES}
        scored = {
            side: scores(ratio, self.options.divergence, self.options.alpha)
            for side, ratio in ratios.items()
        }
        return Pairs(
            chosen=ratios["chosen"],
            rejected=ratios["rejected"],
            chosen_scores=scored["chosen"],
            rejected_scores=scored["rejected"],
            chosen_tokens=policy["chosen"].weights,
            rejected_tokens=policy["rejected"].weights,
            policy_margins=policy["chosen"].log_probs - policy["rejected"].log_probs,
            reference_margins=reference["chosen"] - reference["rejected"],
        )


def _lighten_tails(row: Mapping[str, Encoded], weight: float) -> None:
    """Give the trained tokens by which one side is longer than the other a lower weight."""
    shared = min(sum(w > 0 for w in row[side].weights) for side in SIDES)
    for side in SIDES:
        seen, weights = 0, []
        for own in row[side].weights:
            seen += own > 0
            weights.append(own if seen <= shared else own * weight)
        row[side].weights = weights


trainer = DPO()
