import torch
from harness import tiny_run, train

from ft_adapter_hra import adapter as hra
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def hra_run(folder, steps=3, **options):
    plugins = [
        hra.bind("hra", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_angles_between_neurons_stay(tmp_path):
    run = hra_run(tmp_path, rank=4)
    before = first_query(run.model).base_layer.weight.clone()
    train(run)
    after = run.merge(run.model).model.layers[0].self_attn.q_proj.weight
    assert (after - before).abs().max() > 1e-2
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=1e-4, atol=1e-4)


def test_it_is_a_chain_of_reflections(tmp_path):
    run = hra_run(tmp_path, rank=4)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    turned = torch.eye(64)
    for u in layer.hra_u["default"].detach().T:
        u = u / u.norm()
        turned = turned @ (torch.eye(64) - 2 * u[:, None] * u)
    expected = x @ (layer.base_layer.weight @ turned).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)
