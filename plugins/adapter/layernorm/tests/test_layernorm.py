from harness import tiny_run, train

from ft_adapter_layernorm import adapter as layernorm
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def layernorm_run(folder, steps=3, **options):
    plugins = [
        layernorm.bind("layernorm", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def test_the_normalization_layers_train_and_nothing_else(tmp_path):
    run = layernorm_run(tmp_path)
    # two in each of two layers, and the last one
    assert [p.shape for _, p in run.trainable()] == [(64,)] * 5
    before = {name: p.clone() for name, p in run.load_base().named_parameters()}
    train(run)
    merged = dict(run.merge(run.model).named_parameters())
    changed = {name for name, p in merged.items() if not p.equal(before[name])}
    assert len(changed) == 5
    assert all("norm" in name for name in changed)


def test_a_whole_module_trains_beside_them(tmp_path):
    run = layernorm_run(tmp_path, modules_to_save=["lm_head"])
    assert len(list(run.trainable())) == 6
