import pytest
import torch
from harness import tiny_run, train, weights

from ft_adapter_full import adapter
from ft_optimizer_galore.update import ProjectedAdam
from ft_optimizer_galore_8bit import optimizer as galore_8bit
from ft_optimizer_galore_8bit.update import ProjectedAdam8bit
from ft_trainer_sft import trainer


def make(folder, optimizer, **options):
    options = {"rank": 40, "update_gap": 2, "learning_rate": 1e-2, **options}
    quiet = {"steps": 5, "max_grad_norm": None, "precision": "float32"}
    parts = [adapter.bind("full"), optimizer.bind("optimizer", options), trainer.bind("sft", quiet)]
    return tiny_run(folder, parts)


def test_large_moments_have_8_bits(tmp_path):
    run = make(tmp_path, galore_8bit)
    train(run)
    states = run.optimizer.state.values()
    large = [state for state in states if "moment1" in state]
    small = [state for state in states if "exp_avg" in state]
    assert large
    assert small
    for state in large:
        assert state["moment1"].dtype == state["moment2"].dtype == torch.uint8
        assert state["moment1"].numel() >= 4096
    assert all(state["exp_avg"].numel() < 4096 for state in small)


@pytest.mark.parametrize("rank", [40, None])
def test_8_bits_move_nearly_as_32(rank):
    settings = {"rank": rank, "update_gap": 3, "scale": 0.5, "side": "short", "lr": 0.1}
    settings |= {"decomposition": "svd", "betas": (0.9, 0.999), "epsilon": 1e-8}
    torch.manual_seed(1)
    gradients = torch.randn(6, 100, 128)
    moved = []
    for kind in (ProjectedAdam8bit, ProjectedAdam):
        weight = torch.nn.Parameter(torch.zeros(100, 128))
        optimizer = kind([weight], **settings)
        for gradient in gradients:
            weight.grad = gradient
            optimizer.step()
        moved.append(weight.detach())
    assert 0 < float((moved[0] - moved[1]).norm() / moved[1].norm()) < 0.1


def test_moments_come_back_from_a_checkpoint_as_they_were():
    def made():
        torch.manual_seed(1)
        weight = torch.nn.Parameter(torch.zeros(100, 128, dtype=torch.bfloat16))
        settings = {"rank": 40, "update_gap": 3, "scale": 0.5, "side": "short", "lr": 0.1}
        settings |= {"decomposition": "svd", "betas": (0.9, 0.999), "epsilon": 1e-8}
        return weight, ProjectedAdam8bit([weight], **settings)

    weight, optimizer = made()
    weight.grad = torch.randn_like(weight)
    optimizer.step()
    _, restored = made()
    restored.load_state_dict(optimizer.state_dict())
    (kept,), (came,) = optimizer.state.values(), restored.state.values()
    assert kept["moment1"].dtype == torch.uint8
    assert kept["scale1"].dtype == torch.float32
    assert kept.keys() == came.keys()
    for name, value in kept.items():
        if isinstance(value, torch.Tensor):
            assert came[name].dtype == value.dtype, name
            assert came[name].equal(value), name


def test_layerwise_is_the_same_with_gradients_freed(tmp_path):
    usual, layerwise = (make(tmp_path, galore_8bit, layerwise=x) for x in (False, True))
    assert train(usual) == pytest.approx(train(layerwise))
    for name, weight in weights(usual).items():
        torch.testing.assert_close(weights(layerwise)[name], weight)
