import torch
from harness import tiny_run, train

from ft_adapter_randlora import adapter as randlora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def randlora_run(folder, steps=3, **options):
    plugins = [
        randlora.bind("randlora", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_update_is_a_sum_of_random_terms_of_full_rank(tmp_path):
    run = randlora_run(tmp_path, rank=8)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    a, b = layer.randlora_A["default"], layer.randlora_B["default"]
    weights, gains = layer.randlora_lambda["default"], layer.randlora_gamma["default"]
    b = b[:64].reshape(64, 8, len(gains))  # each term has its own columns of B
    update = sum(
        b[..., i] @ torch.diag(weights[:, i]) @ a[:, 0, :64] @ torch.diag(gains[i])
        for i in range(len(gains))
    )
    update = layer.scaling["default"] * update.detach()
    assert torch.linalg.matrix_rank(update) == 64
    expected = x @ (layer.base_layer.weight + update).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_alpha_is_twenty_times_the_rank_unless_said(tmp_path):
    config = randlora_run(tmp_path, rank=4, basis="sparse").model.peft_config["default"]
    assert (config.randlora_alpha, config.sparse, config.very_sparse) == (80, True, False)
    assert config.projection_prng_key == 42
