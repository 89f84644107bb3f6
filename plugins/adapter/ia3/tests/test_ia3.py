import pytest
import torch
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_ia3 import adapter as ia3
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def ia3_run(folder, steps=3, **options):
    plugins = [
        ia3.bind("ia3", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def test_outputs_are_scaled_or_inputs(tmp_path):
    run = ia3_run(tmp_path, target=["q_proj", "down_proj"], feedforward=["down_proj"])
    train(run)
    block = run.model.base_model.model.model.layers[0]
    query, down = block.self_attn.q_proj, block.mlp.down_proj
    x = torch.randn(5, 64)
    expected = query.ia3_l["default"].T * (x @ query.base_layer.weight.T)
    torch.testing.assert_close(query(x), expected)
    x = torch.randn(5, down.base_layer.in_features)
    expected = (down.ia3_l["default"] * x) @ down.base_layer.weight.T
    torch.testing.assert_close(down(x), expected)


def test_feedforward_layers_are_among_the_targets(tmp_path):
    with pytest.raises(InputError, match=r"adapter.feedforward \['down_proj'\] matches none"):
        ia3_run(tmp_path, feedforward=["down_proj"])


def test_it_is_chosen_by_layer(tmp_path):
    run = ia3_run(tmp_path, target="all-linear", layers=[1], feedforward=["down_proj"])
    assert all(".layers.1." in name for name, _ in run.trainable())
