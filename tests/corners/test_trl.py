"""Corner: the losses of preference trainers beside TRL's, on the same model and the same batch."""

from __future__ import annotations

import pytest
import torch
from harness import tiny_run
from tiny import write_tiny

from ft.api import Encoded
from ft.api.reference import Reference
from ft_adapter_full import adapter as full
from ft_model_smollm2 import family
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_cpo import trainer as cpo
from ft_trainer_dpo import trainer as dpo
from ft_trainer_kto import trainer as kto
from ft_trainer_orpo import trainer as orpo
from ft_trainer_reward import trainer as reward

pytest.importorskip("trl")

ROWS = [
    {"prompt": "Who are you?", "chosen": " A small model.", "rejected": " It is three."},
    {"prompt": "Count to five.", "chosen": " 0 1 2 3 4 5", "rejected": " Paris, I think."},
    {"prompt": "And Germany?", "chosen": " Berlin.", "rejected": " I was made for tests, so no."},
    {"prompt": "Say it.", "chosen": " The quick brown fox.", "rejected": " Yes"},
]
COMMON = {
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
    "disable_tqdm": True,
    "gradient_checkpointing": False,
    "per_device_train_batch_size": 4,
    "max_length": 64,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trl")
    write_tiny(folder / "model", "smollm2", "llama")
    return folder


@pytest.fixture(scope="module")
def beside(folder):
    """The model and a reference that differs from it, as transformers loads them; the tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, reference = (
        AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
        for _ in range(2)
    )
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
    return model.eval(), reference.eval(), AutoTokenizer.from_pretrained(folder / "model")


@pytest.fixture(scope="module")
def run(folder):
    run = tiny_run(folder, [dpo.bind("dpo"), adamw.bind("adamw"), full.bind("full")], family=family)
    run.model.eval()
    return run


def referring_to(model):
    """The reference of a trainer, in the place of a copy of the run's model."""
    reference = object.__new__(Reference)
    reference._copy = model
    return reference


def loss_by_unit(run, trainer, rows):
    batch = run.collate(rows)
    loss = trainer.ft_compute_loss(run, run.model, batch)
    return float(loss.total.detach()) / trainer.ft_count_units(batch), loss.metrics


def encoded(ids, mask, trained):
    """The rows of a padded batch of TRL's."""
    return [
        Encoded(row[real.bool()].tolist(), own[real.bool()].float().tolist())
        for row, real, own in zip(ids, mask, trained, strict=True)
    ]


def as_pairs(batch):
    """Rows of ours from a batch of DPO's or of the reward trainer's, chosen sides first."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    rows = encoded(ids, mask, batch.get("completion_mask", mask))
    half = len(rows) // 2
    return [
        {"chosen": chosen, "rejected": rejected}
        for chosen, rejected in zip(rows[:half], rows[half:], strict=True)
    ]


DPO = [
    *((name, {}) for name in ("sigmoid", "sigmoid_norm", "hinge", "ipo", "nca_pair", "bco_pair")),
    *((name, {}) for name in ("sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down")),
    *((name, {"label_smoothing": 0.1}) for name in ("robust", "exo_pair", "aot")),
    ("discopop", {}),
    ("sigmoid", {"divergence": "js"}),
    ("ipo", {"divergence": "forward_kl"}),
    ("hinge", {"divergence": "alpha", "alpha": 0.5}),
    ("sigmoid", {"ld_alpha": 0.3}),
]
DIVERGENCES = {"js": "js_divergence", "alpha": "alpha_divergence"}


@pytest.fixture(scope="module")
def trl_dpo(folder, beside):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    model, reference, tokenizer = beside
    args = DPOConfig(output_dir=str(folder / "out"), beta=0.2, **COMMON)
    return DPOTrainer(
        model=model,
        ref_model=reference,
        args=args,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(ROWS),
    )


@pytest.mark.parametrize(("name", "options"), DPO)
def test_dpo(run, beside, trl_dpo, monkeypatch, name, options):
    batch = trl_dpo.data_collator([trl_dpo.train_dataset[i] for i in range(len(ROWS))])
    divergence = options.get("divergence", "reverse_kl")
    monkeypatch.setattr(trl_dpo, "loss_types", [name])
    monkeypatch.setattr(trl_dpo, "label_smoothing", options.get("label_smoothing", 0.0))
    monkeypatch.setattr(trl_dpo, "f_divergence_type", DIVERGENCES.get(divergence, divergence))
    monkeypatch.setattr(trl_dpo, "f_alpha_divergence_coef", 1 - options.get("alpha", 0.5))
    monkeypatch.setattr(trl_dpo, "ld_alpha", options.get("ld_alpha"))
    expected = float(trl_dpo.compute_loss(trl_dpo.model.eval(), dict(batch)).detach())
    ours = dpo.bind("dpo", {"loss": name, "beta": 0.2, **options})
    ours.reference = referring_to(beside[1])
    rows = as_pairs(batch)
    if "ld_alpha" in options:
        from ft_trainer_dpo import _lighten_tails

        for row in rows:
            _lighten_tails(row, options["ld_alpha"])
    found, _ = loss_by_unit(run, ours, rows)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["kto", "apo_zero_unpaired"])
def test_kto(folder, run, beside, loss):
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    model, reference, tokenizer = beside
    rows = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row, side in zip(ROWS, ("chosen", "rejected", "chosen", "chosen"), strict=True)
    ]
    weights = {"desirable_weight": 1.5, "undesirable_weight": 0.7}
    theirs = KTOTrainer(
        model=model,
        ref_model=reference,
        args=KTOConfig(
            output_dir=str(folder / "out"), beta=0.2, loss_type=loss, **weights, **COMMON
        ),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
    )
    batch = theirs.data_collator([theirs.train_dataset[i] for i in range(len(rows))])
    expected = float(theirs.compute_loss(theirs.model.eval(), dict(batch)).detach())
    own = encoded(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    goods = [bool(label) for label in batch["label"]]
    ours = kto.bind("kto", {"loss": loss, "beta": 0.2, **weights})
    ours.reference = referring_to(reference)
    made = [{"answer": row, "good": good} for row, good in zip(own, goods, strict=True)]
    found, metrics = loss_by_unit(run, ours, made)
    assert found == pytest.approx(expected, rel=1e-5)
    if loss == "kto":
        assert float(metrics["kl"]) / 4 == pytest.approx(
            theirs._metrics["eval"]["kl"][-1], abs=1e-5
        )


def trl_pair(theirs, number):
    """The batch of one pair of the experimental trainers, and the same as a row of ours."""
    batch = theirs.data_collator([theirs.train_dataset[number]])
    row = {}
    for side in ("chosen", "rejected"):
        trained = batch[f"{side}_labels"] != -100
        (row[side],) = encoded(batch[f"{side}_input_ids"], batch[f"{side}_attention_mask"], trained)
    return batch, row


@pytest.mark.parametrize("loss", ["sigmoid", "hinge", "ipo", "simpo"])
def test_cpo(folder, run, beside, loss):
    from datasets import Dataset
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    model, _, tokenizer = beside
    options = {"loss_type": loss, "beta": 0.3, "cpo_alpha": 0.4, "simpo_gamma": 0.8}
    theirs = CPOTrainer(
        model=model,
        args=CPOConfig(output_dir=str(folder / "out"), **options, **COMMON),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(ROWS),
    )
    gamma = {"gamma": 0.8} if loss == "simpo" else {}
    ours = cpo.bind("cpo", {"loss": loss, "beta": 0.3, "sft_weight": 0.4, **gamma})
    for number in range(2):
        batch, row = trl_pair(theirs, number)
        expected, _ = theirs.get_batch_loss_metrics(model.eval(), batch)
        assert loss_by_unit(run, ours, [row])[0] == pytest.approx(
            float(expected.detach()), rel=1e-5
        )


def test_orpo(folder, run, beside):
    from datasets import Dataset
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    model, _, tokenizer = beside
    theirs = ORPOTrainer(
        model=model,
        args=ORPOConfig(output_dir=str(folder / "out"), beta=0.3, **COMMON),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(ROWS),
    )
    ours = orpo.bind("orpo", {"beta": 0.3})
    batch, row = trl_pair(theirs, 1)
    # TRL takes the cross-entropy of the prompt in, which the paper does not
    _, metrics = theirs.get_batch_loss_metrics(model.eval(), batch)
    found, own = loss_by_unit(run, ours, [row])
    ratio = (float(own["sft_loss"]) - found) / 0.3
    assert ratio == pytest.approx(metrics["log_odds_ratio"], rel=1e-5)


def test_reward(folder, run, beside):
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    tokenizer = beside[2]
    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder / "model", num_labels=1, dtype=torch.float32
    )
    args = RewardConfig(output_dir=str(folder / "out"), center_rewards_coefficient=0.02, **COMMON)
    theirs = RewardTrainer(
        model=model,
        args=args,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([{**row, "margin": 0.3} for row in ROWS]),
    )
    batch = theirs.data_collator([theirs.train_dataset[i] for i in range(len(ROWS))])
    expected = float(theirs.compute_loss(theirs.model.eval(), dict(batch)).detach())
    ours = reward.bind("reward", {"margin": True, "centering": 0.02})
    run.modules["score"] = model.score
    rows = [{**row, "margin": 0.3} for row in as_pairs(batch)]
    found, _ = loss_by_unit(run, ours, rows)
    assert found == pytest.approx(expected, rel=1e-5)
