import math

import pytest
import torch
from harness import Rows, random_rows, tiny_run
from pydantic import ValidationError

from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_cpo import trainer as cpo

BETA = 0.2


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


PAPERS = {
    "sigmoid": lambda chosen, rejected: -log_sigmoid(BETA * (sum(chosen) - sum(rejected))),
    "hinge": lambda chosen, rejected: max(0.0, 1 - BETA * (sum(chosen) - sum(rejected))),
    "ipo": lambda chosen, rejected: (mean(chosen) - mean(rejected) - 1 / (2 * BETA)) ** 2,
    "simpo": lambda chosen, rejected: -log_sigmoid(BETA * (mean(chosen) - mean(rejected)) - 0.5),
}


def mean(values):
    return sum(values) / len(values)


def log_probs(model, row):
    """Of each trained token of a row, from the model's plain logits."""
    ids = torch.tensor([list(row.input_ids)])
    with torch.no_grad():
        found = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    found = found.gather(1, ids[0, 1:, None])[:, 0]
    return found[torch.tensor(list(row.weights))[1:] > 0].tolist()


def test_each_loss_is_its_papers(tmp_path):
    rows = Rows(
        {"chosen": chosen, "rejected": rejected}
        for chosen, rejected in zip(random_rows(3), random_rows(3, seed=2), strict=True)
    )
    plugins = [cpo.bind("cpo"), adamw.bind("adamw"), full.bind("full")]
    run = tiny_run(tmp_path, plugins, rows=rows)
    batch = run.collate(rows)
    for name, paper in PAPERS.items():
        made = cpo.bind("cpo", {"loss": name, "beta": BETA, "sft_weight": 0.5})
        found = float(made.ft_compute_loss(run, run.model, batch).total.detach())
        expected = 0.0
        for row in rows:
            sides = [log_probs(run.model, row[side]) for side in ("chosen", "rejected")]
            expected += paper(*sides) - 0.5 * mean(sides[0])
        assert found == pytest.approx(expected, rel=1e-4), name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gamma": 1.0}, "gamma is the margin of loss simpo"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "has no meaning for hinge"),
    ],
)
def test_an_option_of_another_loss_is_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        cpo.bind("cpo", options)
