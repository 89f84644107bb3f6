import math

import pytest
import torch
from harness import Rows, random_rows, tiny_run

from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_simpo import trainer as simpo


def mean_log_prob(run, row):
    """Of the trained tokens of a row, from the model's plain logits."""
    ids = torch.tensor([list(row.input_ids)])
    found = run.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    found = found.gather(1, ids[0, 1:, None])[:, 0]
    return float(found[torch.tensor(list(row.weights))[1:] > 0].mean().detach())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_papers(tmp_path, smoothing):
    rows = Rows(
        {"chosen": chosen, "rejected": rejected}
        for chosen, rejected in zip(random_rows(3), random_rows(3, seed=2), strict=True)
    )
    options = {"beta": 2.5, "gamma": 1.2, "label_smoothing": smoothing, "sft_weight": 0.1}
    plugins = [simpo.bind("simpo", options), adamw.bind("adamw"), full.bind("full")]
    run = tiny_run(tmp_path, plugins, rows=rows)
    loss = run.hook.ft_compute_loss(run=run, model=run.model, batch=run.collate(rows))
    expected = 0.0
    for row in rows:
        chosen, rejected = (mean_log_prob(run, row[side]) for side in ("chosen", "rejected"))
        logit = 2.5 * chosen - 2.5 * rejected - 1.2
        right, wrong = (-math.log(1 / (1 + math.exp(-sign * logit))) for sign in (1, -1))
        expected += (1 - smoothing) * right + smoothing * wrong - 0.1 * chosen
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-4)
