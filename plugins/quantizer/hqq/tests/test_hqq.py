"""HQQ: what the solver improves, what a layer computes, and what is refused."""

import pytest
import torch
from harness import tiny_run, train
from torch import nn

from ft.api import InputError
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_hqq import quantizer as hqq
from ft_quantizer_hqq.linear import HqqLinear, pack, solve, unpack
from ft_trainer_sft import trainer as sft


def heavy_tailed(*shape):
    """Weights with outliers, as those of language models have."""
    torch.manual_seed(0)
    return torch.distributions.StudentT(3.0).sample(shape) * 0.02


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_solver_beats_rounding_to_the_nearest(bits):
    weight = heavy_tailed(64, 4, 64)

    def error(steps):
        values, zeros, scales = solve(weight, bits, steps)
        made = (values.float() - zeros.float()[..., None]) * scales.float()[..., None]
        return float((weight - made).abs().pow(0.7).mean())

    assert error(20) < 0.985 * error(0)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_what_is_packed_is_unpacked(bits):
    values = torch.randint(0, 2**bits, (5, 48), dtype=torch.uint8)
    assert torch.equal(unpack(pack(values, bits), bits, 48), values)
    assert pack(values, bits).numel() == 5 * -(-48 // (32 // bits))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_layer_is_that_of_its_definition(bits):
    plain = nn.Linear(64, 24)
    layer = HqqLinear(plain, bits, 32, 20)
    values, zeros, scales = solve(plain.weight.detach().unflatten(1, (-1, 32)), bits, 20)
    weight = (values.float() - zeros.float()[..., None]) * scales.float()[..., None]
    x = torch.randn(2, 5, 64, requires_grad=True)
    expected = nn.functional.linear(x, weight.flatten(1), plain.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-6, atol=1e-6)
    (found,) = torch.autograd.grad(layer(x).sum(), x)
    torch.testing.assert_close(found, weight.flatten(1).sum(0).expand_as(x), rtol=1e-5, atol=1e-5)


def run_of(folder, **options):
    parts = [
        hqq.bind("hqq", options),
        lora.bind("lora", {"rank": 4}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 6, "precision": "float32"}),
    ]
    return tiny_run(folder, parts)


def test_lora_learns_on_three_bits(tmp_path):
    run = run_of(tmp_path, bits=3, skip=["down_proj"])
    assert sum(isinstance(layer, HqqLinear) for layer in run.model.modules()) == 12
    losses = train(run)
    assert losses[-1] < losses[0]


def test_a_group_that_does_not_divide_is_refused(tmp_path):
    with pytest.raises(InputError, match="group_size 48 does not divide the 64 inputs"):
        run_of(tmp_path, group_size=48)
