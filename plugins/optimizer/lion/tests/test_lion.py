import torch

from ft_optimizer_lion.update import SignOfMomentum


def test_steps_are_those_of_algorithm_2():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, 4))
    groups = [{"params": [weight], "weight_decay": 0.1}]
    optimizer = SignOfMomentum(groups, lr=0.01, betas=(0.9, 0.99))
    at, momentum = weight.detach().clone(), torch.zeros(5, 4)
    for _ in range(4):
        weight.grad = torch.randn(5, 4)
        update = torch.sign(0.9 * momentum + 0.1 * weight.grad)
        at = at - 0.01 * (update + 0.1 * at)
        momentum = 0.99 * momentum + 0.01 * weight.grad
        optimizer.step()
    torch.testing.assert_close(weight.detach(), at, rtol=0, atol=1e-6)
