import pytest
import torch
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_adalora import adapter as adalora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def adalora_run(folder, steps=3, **options):
    plugins = [
        adalora.bind("adalora", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_ranks_end_at_the_budget(tmp_path):
    run = adalora_run(tmp_path, steps=10, rank=2, start_rank=4)
    layers = [m for m in run.model.modules() if hasattr(m, "lora_E")]
    assert {len(layer.lora_E["default"]) for layer in layers} == {4}
    train(run)
    kept = [int(layer.lora_E["default"].count_nonzero()) for layer in layers]
    assert sum(kept) == 2 * len(layers)


def test_the_update_is_that_of_the_paper(tmp_path):
    run = adalora_run(tmp_path, rank=2, alpha=3)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    p, q = layer.lora_B["default"], layer.lora_A["default"]
    update = 3 / 3 * p @ torch.diag(layer.lora_E["default"].flatten()) @ q
    expected = x @ (layer.base_layer.weight + update).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_the_factors_are_drawn_to_orthogonal_ones(tmp_path):
    def distance(orthogonality):
        run = adalora_run(tmp_path, steps=20, orthogonality=orthogonality)
        train(run)
        p = first_query(run.model).lora_B["default"]
        return (p.T @ p - torch.eye(p.shape[1])).norm()

    assert distance(0.5) < 0.8 * distance(0.0)


def test_the_term_is_the_mean_distance_over_the_factors(tmp_path):
    run = adalora_run(tmp_path, orthogonality=0.5)
    factors = [p for n, p in run.trainable() if ".lora_A." in n or ".lora_B." in n]
    run.hook.ft_gradients_ready(run=run, model=run.model)
    found = factors[0].grad.clone()
    small = [p if p.shape[0] < p.shape[1] else p.T for p in factors]
    term = sum((p @ p.T - torch.eye(len(p))).norm() for p in small) / len(small)
    (expected,) = torch.autograd.grad(0.5 * term, factors[:1])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"rank": 4, "start_rank": 2}, "ranks only fall"), ({"warmup": 0.5, "final": 0.5}, "no step")],
)
def test_a_budget_that_cannot_fall_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        adalora.bind("adalora", options)


def test_a_second_one_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot hold a second adapter"):
        adalora_run(tmp_path).add_adapter("second")
