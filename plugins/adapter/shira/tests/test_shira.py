import pytest
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_shira import adapter as shira
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def shira_run(folder, steps=3, **options):
    plugins = [
        shira.bind("shira", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_as_many_entries_train_as_a_lora_has(tmp_path):
    run = shira_run(tmp_path, rank=4)
    before = first_query(run.model).base_layer.weight.clone()
    train(run)
    after = run.merge(run.model).model.layers[0].self_attn.q_proj.weight
    assert (after != before).sum() == 4 * (64 + 64)


def test_which_entries_follows_from_the_seed(tmp_path):
    chosen = [
        first_query(shira_run(tmp_path, rank=4).model).shira_indices["default"] for _ in range(2)
    ]
    assert chosen[0].equal(chosen[1])


def test_more_entries_than_there_are_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"more entries than .*q_proj has \(64 x 64\)") as caught:
        shira_run(tmp_path, rank=33)
    assert "largest rank for it is 32" in caught.value.hint
