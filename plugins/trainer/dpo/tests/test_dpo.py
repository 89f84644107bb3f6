import math

import numpy as np
import pytest
import torch
from harness import Rows, assert_resumes, logits, random_rows, tiny_run, train
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from tiny import write_tiny

from ft.api import Encoded, InputError, Message, Origin, Preference
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_adapter_peft import adapter as peft
from ft_model_smollm2 import family, template
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_dpo import _lighten_tails
from ft_trainer_dpo import trainer as dpo
from ft_trainer_dpo.losses import LOSSES, Pairs, Settings, scores


class PairRows(Rows):
    lengths = property(lambda self: [max(map(len, row.values())) for row in self])


@pytest.mark.parametrize("adapter", [full, lora], ids=["copy", "switched off"])
def test_the_first_loss_is_that_of_no_margin(tmp_path, adapter):
    plugins = [
        dpo.bind("dpo", {"batch_size": 4, "steps": 1, "precision": "float32"}),
        adamw.bind("adamw"),
        adapter.bind("adapter"),
    ]
    losses = train(tiny_run(tmp_path, plugins, rows=random_pairs()))
    assert losses == [pytest.approx(0.6931, abs=1e-3)]


def random_pairs():
    chosen, rejected = random_rows(8), random_rows(8, seed=2)
    return PairRows({"chosen": c, "rejected": r} for c, r in zip(chosen, rejected, strict=True))


def continued(folder, saved, **options):
    options = {"batch_size": 4, "precision": "float32", "save_every": 1} | options
    plugins = [
        dpo.bind("dpo", {"keep_checkpoints": 9, **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        lora.bind("lora", {"continue_from": str(saved)}),
    ]
    return tiny_run(folder, plugins, rows=random_pairs())


@pytest.fixture
def saved(tmp_path):
    """A LoRA that is far from its base."""
    run = tiny_run(tmp_path, [lora.bind("lora", {"rank": 4})])
    torch.manual_seed(5)
    with torch.no_grad():
        for _, parameter in run.trainable():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    run.hook.ft_save_model(run=run, model=run.model, folder=tmp_path / "saved")
    return tmp_path / "saved"


def test_an_adapter_that_goes_on_is_its_own_reference(tmp_path, saved):
    losses = train(continued(tmp_path, saved, steps=2))
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)


def test_a_resumed_run_keeps_the_reference(tmp_path, saved):
    assert_resumes(lambda: continued(tmp_path, saved, steps=4), 2)


def test_a_copy_has_random_starts_too(tmp_path):
    options = {"method": "PROMPT_TUNING", "target": [], "config": {"num_virtual_tokens": 4}}
    run = tiny_run(tmp_path, [peft.bind("peft", options)])
    assert run.initial_weights() is None
    torch.testing.assert_close(logits(run.frozen_copy()), logits(run.model), rtol=0, atol=0)


# -- the losses: each against its paper's formula, written out for one pair ------------------

BETA, FLIPPED, TAU = 0.3, 0.1, 0.05
POLICY = {"chosen": [-4.0, -9.0, -2.5], "rejected": [-5.0, -6.0, -8.0]}
REFERENCE = {"chosen": [-4.5, -7.0, -3.0], "rejected": [-4.0, -6.5, -5.0]}
TOKENS = {"chosen": [4.0, 6.0, 2.0], "rejected": [5.0, 3.0, 8.0]}


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def sigma(x):
    return 1 / (1 + math.exp(-x))


def smoothed(x):
    return -(1 - FLIPPED) * log_sigmoid(x) - FLIPPED * log_sigmoid(-x)


def exo(d):
    p, q = (1 - FLIPPED, FLIPPED), (sigma(BETA * d), sigma(-BETA * d))
    return sum(q * math.log(q / p) for q, p in zip(q, p, strict=True))


PAPERS = {
    "sigmoid": lambda w, r, nw, nr: smoothed(BETA * (w - r)),
    "sigmoid_norm": lambda w, r, nw, nr: smoothed(BETA * (w / nw - r / nr)),
    "hinge": lambda w, r, nw, nr: max(0.0, 1 - BETA * (w - r)),
    "ipo": lambda w, r, nw, nr: (w / nw - r / nr - 1 / (2 * BETA)) ** 2,
    "robust": lambda w, r, nw, nr: (
        (-(1 - FLIPPED) * log_sigmoid(BETA * (w - r)) + FLIPPED * log_sigmoid(-BETA * (w - r)))
        / (1 - 2 * FLIPPED)
    ),
    "exo_pair": lambda w, r, nw, nr: exo(w - r),
    "nca_pair": lambda w, r, nw, nr: (
        -log_sigmoid(BETA * w) - 0.5 * (log_sigmoid(-BETA * w) + log_sigmoid(-BETA * r))
    ),
    "bco_pair": lambda w, r, nw, nr: -log_sigmoid(BETA * w) - log_sigmoid(-BETA * r),
    "sppo_hard": lambda w, r, nw, nr: (w - 1 / (2 * BETA)) ** 2 + (r + 1 / (2 * BETA)) ** 2,
    "apo_zero": lambda w, r, nw, nr: 1 - sigma(BETA * w) + sigma(BETA * r),
    "apo_down": lambda w, r, nw, nr: sigma(BETA * w) + 1 - sigma(BETA * (w - r)),
    "discopop": lambda w, r, nw, nr: (
        -log_sigmoid(BETA * (w - r)) * (1 - sigma(BETA * (w - r) / TAU))
        + math.exp(-BETA * (w - r)) * sigma(BETA * (w - r) / TAU)
    ),
}


def pairs_of(divergence="reverse_kl", alpha=0.5):
    policy, reference, tokens = (
        {side: torch.tensor(values) for side, values in given.items()}
        for given in (POLICY, REFERENCE, TOKENS)
    )
    ratios = {side: policy[side] - reference[side] for side in policy}
    return Pairs(
        ratios["chosen"],
        ratios["rejected"],
        scores(ratios["chosen"], divergence, alpha),
        scores(ratios["rejected"], divergence, alpha),
        tokens["chosen"],
        tokens["rejected"],
        policy["chosen"] - policy["rejected"],
        reference["chosen"] - reference["rejected"],
    )


@pytest.mark.parametrize("name", PAPERS)
def test_a_loss_is_its_papers(name):
    found = LOSSES[name](pairs_of(), Settings(BETA, FLIPPED, TAU)).tolist()
    for pair, loss in enumerate(found):
        w, r = (POLICY[side][pair] - REFERENCE[side][pair] for side in POLICY)
        expected = PAPERS[name](w, r, TOKENS["chosen"][pair], TOKENS["rejected"][pair])
        assert loss == pytest.approx(expected, rel=1e-5)


def test_aot_compares_sorted_margins():
    settings = Settings(BETA, FLIPPED, TAU)
    margins = [sorted(w - r for w, r in zip(*g.values(), strict=True)) for g in (POLICY, REFERENCE)]
    expected = [smoothed(BETA * (p - q)) for p, q in zip(*margins, strict=True)]
    assert LOSSES["aot"](pairs_of(), settings).tolist() == pytest.approx(expected, rel=1e-5)
    ratios = [sorted(np.subtract(POLICY[side], REFERENCE[side])) for side in POLICY]
    expected = [smoothed(BETA * (w - r)) for w, r in zip(*ratios, strict=True)]
    found = LOSSES["aot_unpaired"](pairs_of(), settings).tolist()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("divergence", "derivative"),
    [
        ("reverse_kl", lambda u: math.log(u)),
        ("forward_kl", lambda u: 1 - 1 / u),
        ("js", lambda u: math.log(2 * u / (1 + u))),
        ("alpha", lambda u: (1 - u**-0.3) / 0.3),
    ],
)
def test_a_divergence_is_that_of_f_dpo(divergence, derivative):
    ratios = torch.tensor([-2.0, -0.1, 0.4, 1.5])
    expected = [derivative(math.exp(ratio)) for ratio in ratios.tolist()]
    assert scores(ratios, divergence, 0.3).tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "hinge", "label_smoothing": 0.1}, "label_smoothing has no meaning for hinge"),
        ({"loss": "exo_pair"}, "exo_pair needs label_smoothing"),
        ({"loss": "aot", "divergence": "js"}, "aot is defined for divergence reverse_kl"),
        ({"loss": {}}, "at least 1"),
        ({"precompute_reference": True, "reference_free": True}, "asks no reference"),
    ],
)
def test_what_does_not_go_together_is_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        dpo.bind("dpo", options)


# -- a run -----------------------------------------------------------------------------------


def made(folder, adapter=full, **options):
    options = {"batch_size": 4, "steps": 3, "precision": "float32", **options}
    plugins = [
        dpo.bind("dpo", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        adapter.bind("adapter"),
    ]
    folder.mkdir(exist_ok=True)
    return tiny_run(folder, plugins, rows=random_pairs())


def first_loss(run):
    batch = run.collate(run.data[:4])
    loss = run.hook.ft_compute_loss(run=run, model=run.model, batch=batch)
    return float(loss.total.detach()) / 4


def test_a_mix_is_the_weighted_sum(tmp_path):
    mixed = {"sigmoid": 0.8, "bco_pair": 0.2}
    run = made(tmp_path, loss=mixed, sft_weight=0.5)
    train(run)  # away from the reference
    batch = run.collate(run.data[:4])
    found = []
    for name in mixed:
        other = dpo.bind("dpo", {"loss": name})
        other.reference = run.part("trainer").reference
        found.append(float(other.ft_compute_loss(run, run.model, batch).total.detach()) / 4)
    chosen = run.token_losses(run.model, batch["chosen"])
    losses = chosen.losses.detach()
    means = [float(losses[chosen.documents == row].mean()) for row in range(4)]
    expected = 0.8 * found[0] + 0.2 * found[1] + 0.5 * sum(means) / 4
    assert first_loss(run) == pytest.approx(expected, rel=1e-5)


def test_a_precomputed_reference_says_the_same(tmp_path):
    plain = train(made(tmp_path / "plain"))

    def ahead():
        options = {"precompute_reference": True, "save_every": 2, "keep_checkpoints": 9}
        return made(tmp_path / "ahead", **options)

    run = ahead()
    assert train(run) == pytest.approx(plain, rel=1e-5)
    file = run.folder / "reference.safetensors"
    written = file.stat().st_mtime_ns
    assert_resumes(ahead, 2)
    # it was asked of the same weights and rows, and read
    assert file.stat().st_mtime_ns == written
    weights = tmp_path / "ahead" / "model" / "model.safetensors"
    moved = {name: tensor * 1.01 for name, tensor in load_file(weights).items()}
    save_file(moved, weights, metadata={"format": "pt"})
    other = ahead()
    assert other.data[0]["reference_chosen"] != run.data[0]["reference_chosen"]
    train(other)
    assert file.stat().st_mtime_ns != written


def test_the_longer_answers_tail_counts_less():
    row = {"chosen": Encoded([1, 2, 3, 4, 5], [0, 0, 1, 1, 1]), "rejected": Encoded([1, 6], [0, 1])}
    _lighten_tails(row, 0.25)
    assert [list(row[side].weights) for side in row] == [[0, 0, 1, 0.25, 0.25], [0, 1]]


@pytest.mark.parametrize(
    ("chosen", "rejected", "said"),
    [("Yes.", "Yes.", "are the same"), ("Yes.", " ", "rejected is an empty answer")],
)
def test_a_pair_that_says_nothing_is_refused_with_its_row(tmp_path, chosen, rejected, said):
    write_tiny(tmp_path / "model", "smollm2", "llama")
    run = tiny_run(tmp_path, [dpo.bind("dpo"), template.bind("smollm2")], family=family)
    pair = Preference(
        [Message("user", "Is it?")],
        [Message("assistant", chosen)],
        [Message("assistant", rejected)],
        origin=Origin("pairs.jsonl", 7),
    )
    with pytest.raises(InputError, match=said) as error:
        run.hook.ft_encode(run=run, examples=[pair])
    assert error.value.where == "pairs.jsonl row 7"
