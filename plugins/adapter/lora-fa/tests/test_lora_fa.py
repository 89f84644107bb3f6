import torch
from harness import tiny_run, train

from ft_adapter_lora_fa import adapter as lora_fa
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def lora_fa_run(folder, steps=3, **options):
    plugins = [
        lora_fa.bind("lora-fa", {"target": ["q_proj"], "rank": 4, **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_b_alone_trains(tmp_path):
    run = lora_fa_run(tmp_path)
    assert all(".lora_B." in name for name, _ in run.trainable())
    before = first_query(run.model).lora_A["default"].weight.clone()
    train(run)
    assert first_query(run.model).lora_A["default"].weight.equal(before)


def test_a_follows_from_the_seed(tmp_path):
    first = lora_fa_run(tmp_path)
    torch.manual_seed(7)
    second = lora_fa_run(tmp_path)
    a = [first_query(run.model).lora_A["default"].weight for run in (first, second)]
    assert a[0].equal(a[1])


def test_a_second_one_trains_b_alone_too(tmp_path):
    run = lora_fa_run(tmp_path)
    run.add_adapter("second")
    trains = {n for n, p in run.model.named_parameters() if p.requires_grad and "second" in n}
    assert trains
    assert all(".lora_B." in name for name in trains)
