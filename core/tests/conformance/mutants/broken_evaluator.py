"""Evaluators that are broken in one way."""

from __future__ import annotations

from mutant import mutant

from ft.api import hookimpl
from ft.conformance.reference.evaluator import Guessing


@mutant("evaluator.gives-figures")
class PerplexityOverflows(Guessing):
    """A perplexity of a model that knows nothing."""

    @hookimpl
    def ft_evaluate(self, run, model):
        return {"perplexity": float("inf"), **super().ft_evaluate(run, model)}


@mutant("evaluator.gives-figures")
class NothingMeasured(Guessing):
    """Says something only where a set has the right name."""

    @hookimpl
    def ft_evaluate(self, run, model):
        return {k: v for k, v in super().ft_evaluate(run, model).items() if k == "test"}


@mutant("evaluator.begins-afresh")
class KeepsCounting(Guessing):
    """Adds to the totals of the evaluation before."""

    total = 0.0

    @hookimpl
    def ft_evaluate(self, run, model):
        self.total += 1 + sum(super().ft_evaluate(run, model).values())
        return {"guessed": self.total}


@mutant("evaluator.leaves-the-model")
class AddsGradients(Guessing):
    """Measures the norm of the gradient, and leaves it there."""

    @hookimpl
    def ft_evaluate(self, run, model):
        import torch

        (rows,) = run.eval_data.values()
        with torch.enable_grad():
            batch = run.to_device(run.collate([rows[0]]))
            run.forward(model, batch).logits.square().mean().backward()
        return super().ft_evaluate(run, model)


@mutant("evaluator.leaves-the-model")
class BackToTraining(Guessing):
    """Leaves the model in training mode, in which it did not get it."""

    @hookimpl
    def ft_evaluate(self, run, model):
        found = super().ft_evaluate(run, model)
        model.train()
        return found
