import torch
from harness import tiny_run, train

from ft_adapter_lokr import adapter as lokr
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def lokr_run(folder, steps=3, **options):
    plugins = [
        lokr.bind("lokr", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_update_is_that_of_the_paper(tmp_path):
    run = lokr_run(tmp_path, rank=2, alpha=4, factor=4)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    small, low = layer.lokr_w1["default"], layer.lokr_w2_a["default"] @ layer.lokr_w2_b["default"]
    assert small.shape == (4, 4)
    expected = x @ (layer.base_layer.weight + 4 / 2 * torch.kron(small, low)).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_alpha_is_the_rank_unless_said(tmp_path):
    assert lokr_run(tmp_path, rank=2).model.peft_config["default"].alpha == 2
