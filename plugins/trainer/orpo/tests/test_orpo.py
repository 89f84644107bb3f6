import math

import pytest
from harness import Rows, random_rows, tiny_run

from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_orpo import log_odds
from ft_trainer_orpo import trainer as orpo


def pairs_run(folder, **options):
    rows = Rows(
        {"chosen": chosen, "rejected": rejected}
        for chosen, rejected in zip(random_rows(3), random_rows(3, seed=2), strict=True)
    )
    plugins = [orpo.bind("orpo", options), adamw.bind("adamw"), full.bind("full")]
    return tiny_run(folder, plugins, rows=rows)


def mean_log_prob(run, row):
    """Of the trained tokens of a row, from the model's plain logits."""
    import torch

    ids = torch.tensor([list(row.input_ids)])
    found = run.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    found = found.gather(1, ids[0, 1:, None])[:, 0]
    return float(found[torch.tensor(list(row.weights))[1:] > 0].mean().detach())


def test_the_loss_is_the_papers(tmp_path):
    run = pairs_run(tmp_path, beta=0.3)
    loss = run.hook.ft_compute_loss(run=run, model=run.model, batch=run.collate(run.data))
    expected = 0.0
    for row in run.data:
        # the paper's P is the geometric mean over the tokens of an answer (eq. 3 to 7)
        p, q = (math.exp(mean_log_prob(run, row[side])) for side in ("chosen", "rejected"))
        ratio = (p / (1 - p)) / (q / (1 - q))
        expected += -math.log(p) - 0.3 * math.log(1 / (1 + 1 / ratio))
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-4)


def test_odds_of_a_certain_answer_are_finite():
    import torch

    certain = torch.zeros(1, requires_grad=True)
    found = log_odds(certain)
    found.backward()
    assert math.isfinite(float(found.detach()))
    assert bool(certain.grad.isfinite().all())
