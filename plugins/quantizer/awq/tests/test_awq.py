"""The file format of AWQ: what weights stand for, and what is refused."""

import pytest
import torch
from torch import nn

from ft.api import InputError
from ft_quantizer_awq import quantizer as awq
from ft_quantizer_awq.linear import AwqLinear, encoded

OUT, WIDTH, GROUP = 16, 64, 32
PLACES = [0, 4, 1, 5, 2, 6, 3, 7]
"""In which four bits of a word each of eight outputs lies."""


def signed(words):
    return ((words + 2**31) % 2**32 - 2**31).to(torch.int32)


def test_a_layer_is_that_of_its_definition():
    torch.manual_seed(0)
    values, zeros = torch.randint(0, 16, (WIDTH, OUT)), torch.randint(0, 16, (2, OUT))
    scales = (torch.rand(2, OUT) + 0.5).half()
    qweight = torch.zeros(WIDTH, OUT // 8, dtype=torch.int64)
    qzeros = torch.zeros(2, OUT // 8, dtype=torch.int64)
    for o in range(OUT):
        qweight[:, o // 8] |= values[:, o] << 4 * PLACES[o % 8]
        qzeros[:, o // 8] |= zeros[:, o] << 4 * PLACES[o % 8]
    weight = torch.empty(OUT, WIDTH)
    for i in range(WIDTH):
        weight[:, i] = scales[i // GROUP].float() * (values[i] - zeros[i // GROUP])

    stored = {"qweight": signed(qweight), "qzeros": signed(qzeros), "scales": scales}
    layer = AwqLinear("layer", nn.Linear(WIDTH, OUT, bias=False), stored)
    layer.settle()
    assert torch.equal(layer.plain(torch.float32).weight, weight)
    x = torch.randn(3, 5, WIDTH, requires_grad=True)
    torch.testing.assert_close(layer(x), x @ weight.t(), rtol=1e-6, atol=1e-4)
    (found,) = torch.autograd.grad(layer(x).sum(), x)
    torch.testing.assert_close(found, weight.sum(0).expand_as(x), rtol=1e-6, atol=1e-4)


def test_what_is_encoded_is_decoded():
    weight = torch.randn(OUT, WIDTH)
    stored = encoded(weight, GROUP)
    layer = AwqLinear("layer", nn.Linear(WIDTH, OUT, bias=False), stored)
    layer.settle()
    step = stored["scales"].float().t().repeat_interleave(GROUP, 1)
    assert ((layer.plain(torch.float32).weight - weight).abs() <= step * 0.51).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"bits": 8}, "AWQ weights of 8 bits"), ({"version": "gemv"}, "file format gemv")],
)
def test_what_it_does_not_read_is_said(settings, words):
    with pytest.raises(InputError, match=words):
        awq.bind("awq").read(settings)


def test_words_of_another_shape_are_refused():
    stored = encoded(torch.randn(OUT, WIDTH), GROUP)
    with pytest.raises(InputError, match="format gemm has int32"):
        AwqLinear("layer", nn.Linear(OUT, WIDTH), stored)
