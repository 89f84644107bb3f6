"""The reference evaluator: how well the model guesses the data of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Evaluator, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Guessing(Evaluator):
    """The share of tokens of the evaluation sets that the model finds likeliest."""

    @hookimpl
    def ft_evaluate(self, run: Run, model: nn.Module) -> dict[str, float]:
        return {name: guessed(run, model, rows) for name, rows in run.eval_data.items()}


def guessed(run: Run, model: nn.Module, rows: Any) -> float:
    """The share of the trained tokens of ``rows`` that come out right."""
    right = asked = 0.0
    for row in rows:
        batch = run.to_device(run.collate([row]))
        likeliest = run.forward(model, batch).logits[:, :-1].argmax(-1)
        trained = batch["weights"][:, 1:] > 0
        right += float((likeliest == batch["input_ids"][:, 1:])[trained].sum())
        asked += float(trained.sum())
    return right / max(asked, 1.0)


evaluator = Guessing()
