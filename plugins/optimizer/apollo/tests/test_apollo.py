import pytest
import torch
from harness import tiny_run, train, weights

from ft_adapter_full import adapter
from ft_adapter_lora import adapter as lora
from ft_optimizer_apollo import mini
from ft_optimizer_apollo import optimizer as apollo
from ft_optimizer_apollo.update import ROUND, ScaledDescent, projection
from ft_trainer_sft import trainer

ADAM = {"betas": (0.9, 0.999), "epsilon": 1e-8}
SETTINGS = {"rank": 2, "update_gap": 2, "scale": 1.5, "growth_limit": 1.01, "seed": 7}


@pytest.mark.parametrize("tensor_wise", [False, True])
@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_steps_are_those_of_algorithm_1(shape, tensor_wise):
    weight = torch.nn.Parameter(torch.zeros(shape))
    group = {"params": [weight], **SETTINGS, "tensor_wise": tensor_wise}
    optimizer = ScaledDescent([group], lr=0.1, **ADAM)
    torch.manual_seed(1)
    at, mean, square, before, limited = torch.zeros(6, 9), 0.0, 0.0, None, []
    for step in range(1, 6):
        weight.grad = torch.randn(shape) * (1 + step % 2)
        gradient = weight.grad if shape == (6, 9) else weight.grad.T
        # the first matrix of all, and another projection every two steps
        random = projection(gradient, 2, 7 + 1 + ROUND * ((step - 1) // 2))
        low = random @ gradient
        mean, square = 0.9 * mean + 0.1 * low, 0.999 * square + 0.001 * low**2
        tilde = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        size = tilde.norm() / low.norm() if tensor_wise else tilde.norm(dim=0) / low.norm(dim=0)
        scaled = 1.5 * gradient * size
        if before is not None:
            limited.append(bool(scaled.norm() / before > 1.01))
            if limited[-1]:
                scaled = scaled / scaled.norm() * 1.01 * before
        before = scaled.norm()
        at = at - 0.1 * scaled
        optimizer.step()
    assert any(limited)
    assert not all(limited)
    found = weight.detach() if shape == (6, 9) else weight.detach().T
    torch.testing.assert_close(found, at, rtol=0, atol=1e-5)


def test_a_projection_keeps_norms_and_comes_back_by_its_seed():
    gradient = torch.zeros(400, 500)
    first, again, other = (projection(gradient, 200, seed) for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)
    assert float(first.square().sum(0).mean()) == pytest.approx(1, rel=0.02)


def make(folder, optimizer, adapter, **options):
    quiet = {"steps": 5, "max_grad_norm": None, "precision": "float32"}
    options = {"learning_rate": 1e-2, **options}
    parts = [adapter, optimizer.bind("apollo", options), trainer.bind("sft", quiet)]
    return tiny_run(folder, parts)


def test_layerwise_is_the_same_with_gradients_freed(tmp_path):
    # each matrix has a seed by when it is first updated, so only the form can be compared
    run = make(tmp_path, mini, adapter.bind("full"), layerwise=True)
    before, alive = weights(run), []
    for _, parameter in run.trainable():
        parameter.register_post_accumulate_grad_hook(
            lambda _: alive.append(sum(p.grad is not None for p in run.model.parameters()))
        )
    losses = train(run)
    assert losses[-1] < losses[0]
    assert max(alive) == 1
    assert not any(weights(run)[name].equal(before[name]) for name in before)


def test_mini_keeps_next_to_nothing_and_adamw_has_the_embeddings(tmp_path):
    run = make(tmp_path, mini, adapter.bind("full"))
    losses = train(run)
    assert losses[-1] < losses[0]
    for name, parameter in run.trainable():
        moment = run.optimizer.state[parameter]["exp_avg"]
        if "_proj" in name:
            assert moment.shape == (1, max(parameter.shape))
        else:
            assert moment.shape == parameter.shape


def test_lora_trains_with_it(tmp_path):
    losses = train(make(tmp_path, apollo, lora.bind("lora", {"rank": 8}), rank=4))
    assert losses[-1] < losses[0]
