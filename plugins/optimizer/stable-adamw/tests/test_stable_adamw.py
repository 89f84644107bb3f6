import torch

from ft_optimizer_stable_adamw.update import ClippedAdamW


def test_steps_are_those_of_algorithm_2():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 5))
    optimizer = ClippedAdamW([{"params": [weight]}], lr=0.01, betas=(0.9, 0.99), epsilon=1e-6)
    at, mean, square = weight.detach().clone(), torch.zeros(6, 5), torch.zeros(6, 5)
    clipped = []
    for step, scale in enumerate((1.0, 1.0, 50.0, 0.1), 1):
        gradient = weight.grad = torch.randn(6, 5) * scale
        # the paper corrects the bias through decays that change with the step
        near = 0.9 * (1 - 0.9 ** (step - 1)) / (1 - 0.9**step)
        far = 0.99 * (1 - 0.99 ** (step - 1)) / (1 - 0.99**step)
        mean = near * mean + (1 - near) * gradient
        square = far * square + (1 - far) * gradient**2
        rms = (gradient**2 / square.clamp(min=1e-12)).mean().sqrt()
        clipped.append(bool(rms > 1.01))
        at -= 0.01 / max(1, rms) * mean / (square.sqrt() + 1e-6)
        optimizer.step()
    assert clipped == [False, False, True, False]
    torch.testing.assert_close(weight.detach(), at, rtol=0, atol=1e-6)


def test_it_is_adamw_where_no_gradient_surprises():
    weights = [torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2)]
    stable = ClippedAdamW(
        [{"params": weights[:1], "weight_decay": 0.1}], lr=0.1, betas=(0.9, 0.99), epsilon=1e-8
    )
    usual = torch.optim.AdamW(weights[1:], lr=0.1, betas=(0.9, 0.99), weight_decay=0.1)
    for number in range(4):
        for weight in weights:
            weight.grad = torch.full_like(weight, 0.9**number)
        stable.step()
        usual.step()
    torch.testing.assert_close(*(w.detach() for w in weights), rtol=0, atol=1e-6)
