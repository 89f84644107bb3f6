"""Blockwise float8: what weights stand for, and what is refused."""

import pytest
import torch
from torch import nn

from ft.api import InputError
from ft_quantizer_fine_grained_fp8 import quantizer as fp8
from ft_quantizer_fine_grained_fp8.linear import BlockLinear, encoded


def layer_of(stored, block):
    out, width = stored["weight"].shape
    made = BlockLinear("layer", nn.Linear(width, out, bias=False), stored, block)
    made.settle()
    return made


@pytest.mark.parametrize("shape", [(64, 96), (40, 70)])
def test_a_layer_is_that_of_its_definition(shape):
    """Blocks that are cut off at the edges, too."""
    torch.manual_seed(0)
    values = torch.randn(shape).to(torch.float8_e4m3fn)
    scale = torch.rand(-(-shape[0] // 32), -(-shape[1] // 32)) + 0.5
    weight = torch.empty(shape)
    for o in range(shape[0]):
        for i in range(shape[1]):
            weight[o, i] = values[o, i].float() * scale[o // 32, i // 32]
    layer = layer_of({"weight": values, "weight_scale_inv": scale}, (32, 32))
    assert layer.weight.dtype == torch.uint8
    assert torch.equal(layer.plain(torch.float32).weight, weight)
    x = torch.randn(5, shape[1], requires_grad=True)
    torch.testing.assert_close(layer(x), x @ weight.t(), rtol=1e-6, atol=1e-4)
    (found,) = torch.autograd.grad(layer(x).sum(), x)
    torch.testing.assert_close(found, weight.sum(0).expand_as(x), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(("block", "exponents"), [((32, 32), False), ((1, 32), True)])
def test_transformers_reads_the_same_numbers(block, exponents):
    """Its dequantization, of files as they are published."""
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    torch.manual_seed(1)
    stored = encoded(torch.randn(64, 96), block)
    if exponents:
        shape = stored["weight_scale_inv"].shape
        stored["weight_scale_inv"] = torch.randint(120, 130, shape, dtype=torch.uint8)
    expected = Fp8Dequantize(None)._dequantize_one(
        stored["weight"], stored["weight_scale_inv"], torch.float32
    )
    assert torch.equal(layer_of(stored, block).plain(torch.float32).weight, expected)


def test_one_scale_for_all_of_a_weight():
    values = torch.randn(16, 24).to(torch.float8_e4m3fn)
    layer = layer_of({"weight": values, "weight_scale_inv": torch.tensor(0.5)}, (0, 0))
    assert torch.equal(layer.plain(torch.float32).weight, values.float() * 0.5)


def test_what_it_does_not_read_is_said():
    with pytest.raises(InputError, match="e5m2"):
        fp8.bind("fine-grained-fp8").read({"fmt": "e5m2"})
    with pytest.raises(InputError, match=r"\(2, 3\) scales, and blocks of 16 x 16"):
        layer_of(encoded(torch.randn(64, 96), (32, 32)), (16, 16))
