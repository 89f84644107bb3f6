import pytest
import torch

from ft_optimizer_adalomo.update import FusedAdaptive


@pytest.mark.parametrize("shape", [(6, 4), (5,)])
def test_an_update_is_adafactors(shape):
    """The paper's differs in where it is taken; torch caps its rate, which is below the cap."""
    torch.manual_seed(0)
    value = torch.randn(shape)
    ours, theirs = (torch.nn.Parameter(value.clone()) for _ in range(2))
    fused = FusedAdaptive(
        [{"params": [ours]}], in_backward=True, lr=1e-2, clip_threshold=1.0, decay_rate=-0.8
    )
    usual = torch.optim.Adafactor([theirs], lr=1e-2)
    for number in range(5):
        gradient = torch.randn(shape) * (1 + 10 * (number == 3))
        (ours * gradient).sum().backward()
        assert ours.grad is None
        theirs.grad = gradient
        fused.step()
        usual.step()
    torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=0, atol=1e-6)


def test_each_expert_of_a_stack_has_moments_of_its_own():
    torch.manual_seed(0)
    value, gradient = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    stack = torch.nn.Parameter(value.clone())
    settings = {"lr": 1e-2, "clip_threshold": 1e9, "decay_rate": -0.8}
    optimizer = FusedAdaptive([{"params": [stack]}], **settings)
    stack.grad = gradient
    optimizer.step()
    assert optimizer.state[stack]["rows"].shape == (2, 6, 1)
    assert optimizer.state[stack]["columns"].shape == (2, 1, 4)
