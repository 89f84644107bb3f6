import pytest
import torch
from harness import tiny_run, train, weights

from ft_adapter_full import adapter
from ft_adapter_lora import adapter as lora
from ft_optimizer_galore import optimizer as galore
from ft_optimizer_galore.update import ProjectedAdam, leading
from ft_trainer_sft import trainer

ADAM = {"betas": (0.9, 0.999), "epsilon": 1e-8}
PLAIN = dict.fromkeys(("rank", "update_gap", "scale", "side", "decomposition"))


def projected(weight, **settings):
    group = {"params": [weight], "rank": 2, "update_gap": 3, "scale": 0.5, "decomposition": "svd"}
    group |= settings
    return ProjectedAdam([group], lr=0.1, **ADAM, **PLAIN)


def stepped(optimizer, weight, steps=5):
    torch.manual_seed(1)
    for _ in range(steps):
        weight.grad = torch.randn(weight.shape)
        optimizer.step()
    return weight.detach().clone()


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_steps_are_those_of_algorithm_2(shape):
    weight = torch.nn.Parameter(torch.zeros(shape))
    found = stepped(projected(weight, side="short"), weight)
    torch.manual_seed(1)
    at, mean, square = torch.zeros(shape), 0.0, 0.0
    for step in range(1, 6):
        gradient = torch.randn(shape)
        if shape[0] > shape[1]:  # the paper's case m <= n, on the other side
            gradient, at = gradient.T, at.T
        if step % 3 == 1:
            basis = torch.linalg.svd(gradient)[0][:, :2]
        low = basis.T @ gradient
        mean, square = 0.9 * mean + 0.1 * low, 0.999 * square + 0.001 * low**2
        normal = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        at = at - 0.1 * 0.5 * basis @ normal
        if shape[0] > shape[1]:
            at = at.T
    torch.testing.assert_close(found, at, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("side", "kept"),
    [
        ("short", {"rows": (6, 2), "exp_avg": (2, 9)}),
        ("long", {"columns": (9, 2), "exp_avg": (6, 2)}),
        ("left", {"rows": (6, 2), "exp_avg": (2, 9)}),
        ("right", {"columns": (9, 2), "exp_avg": (6, 2)}),
        ("both", {"rows": (6, 2), "columns": (9, 2), "exp_avg": (2, 2)}),
    ],
)
def test_a_side_is_projected(side, kept):
    weight = torch.nn.Parameter(torch.zeros(6, 9))
    optimizer = projected(weight, side=side)
    stepped(optimizer, weight, 1)
    state = optimizer.state[weight]
    assert state.keys() - {"step", "exp_avg_sq"} == kept.keys()
    assert {name: tuple(state[name].shape) for name in kept} == kept


def test_a_matrix_no_larger_than_the_rank_is_adamws():
    weights = [torch.nn.Parameter(torch.zeros(2, 9)) for _ in range(2)]
    usual = torch.optim.AdamW(weights[1:], lr=0.1, weight_decay=0)
    found = stepped(projected(weights[0], side="short"), weights[0])
    torch.testing.assert_close(found, stepped(usual, weights[1]), rtol=0, atol=1e-6)


def test_a_sketch_finds_nearly_the_largest_directions():
    torch.manual_seed(3)
    # singular values that fall slowly, as those of gradients do
    left, right = (
        torch.linalg.qr(torch.randn(200, 200))[0],
        torch.linalg.qr(torch.randn(300, 200))[0],
    )
    sizes = 1 / torch.arange(1, 201) ** 0.7
    matrices = torch.stack([left * sizes @ right.mT, -(left * sizes) @ right.mT])
    exact, near, again = (leading(matrices, 20, how) for how in ("svd", "sketch", "sketch"))
    torch.testing.assert_close(near.mT @ near, torch.eye(20).expand(2, -1, -1), rtol=0, atol=1e-5)
    energy = [float((basis.mT @ matrices).square().sum()) for basis in (near, exact)]
    assert 0.99 < energy[0] / energy[1] <= 1.00001
    assert again.equal(near)
    # in order: what the first ones reach, alone
    assert float((near[0, :, 0] @ matrices[0]).norm()) == pytest.approx(1, rel=1e-3)


def make(folder, adapter, **options):
    options = {"rank": 4, "update_gap": 2, "learning_rate": 1e-2, **options}
    quiet = {"steps": 5, "max_grad_norm": None, "precision": "float32"}
    parts = [adapter, galore.bind("galore", options), trainer.bind("sft", quiet)]
    return tiny_run(folder, parts)


def test_layerwise_is_the_same_with_gradients_freed(tmp_path):
    usual, layerwise = (make(tmp_path, adapter.bind("full"), layerwise=x) for x in (False, True))
    assert train(usual) == pytest.approx(train(layerwise))
    for name, weight in weights(usual).items():
        torch.testing.assert_close(weights(layerwise)[name], weight)
    assert "gradient-clipping" in usual.part("optimizer").capabilities().accepts
    assert "gradient-clipping" not in layerwise.part("optimizer").capabilities().accepts


def test_embeddings_and_output_layer_are_not_projected(tmp_path):
    run = make(tmp_path, adapter.bind("full"))
    train(run)
    projected = {
        name for name, p in run.trainable() if {"rows", "columns"} & run.optimizer.state[p].keys()
    }
    assert projected
    assert all("_proj" in name for name in projected)


def test_lora_trains_with_it(tmp_path):
    losses = train(make(tmp_path, lora.bind("lora", {"rank": 8})))
    assert losses[-1] < losses[0]
