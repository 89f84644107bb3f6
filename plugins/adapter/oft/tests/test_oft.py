import pytest
import torch
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_oft import adapter as oft
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def oft_run(folder, steps=3, **options):
    plugins = [
        oft.bind("oft", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_angles_between_neurons_stay(tmp_path):
    run = oft_run(tmp_path, block_size=16, neumann_terms=None)
    before = first_query(run.model).base_layer.weight.clone()
    train(run)
    after = run.merge(run.model).model.layers[0].self_attn.q_proj.weight
    assert (after - before).abs().max() > 1e-2
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=1e-4, atol=1e-4)


def test_a_block_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"blocks of 48 do not divide the 64 inputs") as caught:
        oft_run(tmp_path, block_size=48)
    assert "these do: 2, 4, 8, 16, 32" in caught.value.hint


def test_the_series_is_near_the_inverse(tmp_path):
    config = oft_run(tmp_path, neumann_terms=3).model.peft_config["default"]
    assert (config.use_cayley_neumann, config.num_cayley_neumann_terms) == (True, 3)
