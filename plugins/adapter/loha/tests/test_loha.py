import torch
from harness import tiny_run, train

from ft_adapter_loha import adapter as loha
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def loha_run(folder, steps=3, **options):
    plugins = [
        loha.bind("loha", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_update_is_that_of_the_paper(tmp_path):
    run = loha_run(tmp_path, rank=4, alpha=8)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    left = layer.hada_w1_a["default"] @ layer.hada_w1_b["default"]
    right = layer.hada_w2_a["default"] @ layer.hada_w2_b["default"]
    expected = x @ (layer.base_layer.weight + 8 / 4 * left * right).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    assert torch.linalg.matrix_rank(left * right) > 4


def test_alpha_is_the_rank_unless_said(tmp_path):
    assert loha_run(tmp_path, rank=4).model.peft_config["default"].alpha == 4
