import pytest
import torch
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_miss import adapter as miss
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def miss_run(folder, steps=3, **options):
    plugins = [
        miss.bind("miss", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


@pytest.mark.parametrize("options", [{}, {"variant": "mini", "columns": 16}])
def test_the_update_repeats_one_small_matrix(tmp_path, options):
    run = miss_run(tmp_path, rank=8, **options)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    small = layer.miss_block["default"].detach()
    small = small.repeat(1, 64 // small.shape[1])
    expected = x @ layer.base_layer.weight.T + x @ small.repeat(64 // 8, 1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variant": "bat", "rank": 48}, "adapter.rank: blocks of 48 do not divide"),
        (
            {"variant": "mini", "columns": 24},
            "adapter.columns: blocks of 24 do not divide",
        ),
    ],
)
def test_a_size_that_does_not_fit_is_refused(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        miss_run(tmp_path, **options)


def test_bat_goes_with_no_quantized_base():
    assert "quantized-base" in miss.bind("miss").capabilities().accepts
    assert "quantized-base" not in miss.bind("miss", {"variant": "bat"}).capabilities().accepts
