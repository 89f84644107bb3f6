"""The file format of AQLM: what weights stand for, and what is refused."""

import pytest
import torch
from torch import nn

from ft.api import InputError
from ft_quantizer_aqlm.linear import CodebookLinear, encoded

OUT, WIDTH = 16, 24


@pytest.mark.parametrize(("bits", "kind"), [(8, torch.int8), (16, torch.int16)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 8), (2, 4)])
def test_a_layer_is_that_of_its_definition(bits, kind, rows, columns):
    torch.manual_seed(0)
    count, size = 2, 2**bits
    codes = torch.randint(0, size, (OUT // rows, WIDTH // columns, count))
    codebooks = torch.randn(count, size, rows, columns).half()
    scales = (torch.rand(OUT // rows, 1, 1, 1) + 0.5).half()
    weight = torch.zeros(OUT, WIDTH)
    for g in range(OUT // rows):
        for h in range(WIDTH // columns):
            block = sum(codebooks[k, codes[g, h, k]].float() for k in range(count))
            place = slice(g * rows, (g + 1) * rows), slice(h * columns, (h + 1) * columns)
            weight[place] = block * scales[g].float()

    signed = torch.where(codes >= size // 2, codes - size, codes).to(kind)
    stored = {"codes": signed, "codebooks": codebooks, "scales": scales}
    layer = CodebookLinear("layer", nn.Linear(WIDTH, OUT, bias=False), stored)
    layer.settle()
    torch.testing.assert_close(layer.plain(torch.float32).weight.detach(), weight)
    x = torch.randn(3, WIDTH, requires_grad=True)
    torch.testing.assert_close(layer(x), x @ weight.t(), rtol=1e-6, atol=1e-5)
    (found,) = torch.autograd.grad(layer(x).sum(), x)
    torch.testing.assert_close(found, weight.sum(0).expand_as(x), rtol=1e-6, atol=1e-5)


def test_two_codebooks_stand_for_a_weight_better_than_one():
    weight = torch.randn(64, 64)
    stored = encoded(weight)
    layer = CodebookLinear("layer", nn.Linear(64, 64, bias=False), stored)
    layer.settle()
    both = (layer.plain(torch.float32).weight - weight).square().mean()
    stored["codebooks"][1] = 0
    one = (layer.plain(torch.float32).weight - weight).square().mean()
    assert both < 0.5 * one < 0.5


def test_codes_of_another_shape_are_refused():
    stored = encoded(torch.randn(16, 32))
    with pytest.raises(InputError, match=r"\(16, 8, 2\), and the codebooks .* for \(16, 16, 2\)"):
        CodebookLinear("layer", nn.Linear(64, 16), stored)
