import pytest
import torch
from harness import Rows, assert_resumes, logits, random_rows, tiny_run, train

from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_adapter_peft import adapter as peft
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_dpo import trainer as dpo


class Pairs(Rows):
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
    return Pairs({"chosen": c, "rejected": r} for c, r in zip(chosen, rejected, strict=True))


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
