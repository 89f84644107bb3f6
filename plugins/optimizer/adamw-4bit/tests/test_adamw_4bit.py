import torch

from ft_optimizer_adamw_4bit.library import PlainRates

SETTINGS = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}


def test_small_tensors_move_as_with_adamw_and_large_ones_nearly_so():
    torch.manual_seed(0)
    shapes = {"small": (8, 8), "large": (64, 64)}
    ours, theirs = (
        {name: torch.nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
        for _ in range(2)
    )
    group = {"params": list(ours.values())}
    coarse = PlainRates(
        [group], compiled=False, weight_decay=0.0, bf16_stochastic_round=False, **SETTINGS
    )
    fine = torch.optim.AdamW(theirs.values(), weight_decay=0.0, **SETTINGS)
    for _ in range(4):
        for name, shape in shapes.items():
            ours[name].grad = torch.randn(shape)
            theirs[name].grad = ours[name].grad.clone()
        coarse.step()
        fine.step()
    assert coarse.param_groups[0]["lr"] == 0.01
    torch.testing.assert_close(ours["small"].detach(), theirs["small"].detach())
    off = (ours["large"] - theirs["large"]).detach().norm() / theirs["large"].detach().norm()
    assert 0 < float(off) < 0.3
    assert type(coarse.state[ours["large"]]["exp_avg"]).__name__ == "OptimState4bit"
