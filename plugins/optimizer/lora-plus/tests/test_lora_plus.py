import pytest
from harness import tiny_run, train
from peft.optimizers import create_loraplus_optimizer
from torch.optim import AdamW

from ft.api import InputError
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_optimizer_lora_plus import optimizer as lora_plus
from ft_trainer_sft import trainer


def run_of(folder, adapter):
    options = {"learning_rate": 1e-3, "ratio": 8, "weight_decay": 0.01}
    parts = [adapter, lora_plus.bind("lora-plus", options), trainer.bind("sft", {"steps": 6})]
    return tiny_run(folder, parts)


def test_rates_are_those_of_peft(tmp_path):
    run = run_of(tmp_path, lora.bind("lora", {"rank": 4}))
    theirs = create_loraplus_optimizer(run.model, AdamW, lr=1e-3, loraplus_lr_ratio=8)
    expected = {id(p): group["lr"] for group in theirs.param_groups for p in group["params"]}
    ours = run.hook.ft_build_optimizer(run=run, model=run.model)
    found = {id(p): group["lr"] for group in ours.param_groups for p in group["params"]}
    assert found == pytest.approx(expected)
    assert sorted(set(found.values())) == pytest.approx([1e-3, 8e-3])


def test_the_schedule_keeps_the_ratio(tmp_path):
    run = run_of(tmp_path, lora.bind("lora", {"rank": 4}))
    losses = train(run)
    assert losses[-1] < losses[0]
    rates = [group["lr"] for group in run.optimizer.param_groups]
    assert max(rates) == pytest.approx(8 * min(rates))


def test_an_adapter_without_b_is_refused(tmp_path):
    run = run_of(tmp_path, full.bind("full"))
    with pytest.raises(InputError, match="trains no B"):
        run.hook.ft_build_optimizer(run=run, model=run.model)
