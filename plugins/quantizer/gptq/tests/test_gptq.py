"""The file format of GPTQ: what weights stand for, and what is refused."""

import pytest
import torch
from torch import nn

from ft.api import InputError
from ft_quantizer_gptq import Scheme
from ft_quantizer_gptq import quantizer as gptq
from ft_quantizer_gptq.linear import GptqLinear, pack, rounded

OUT, WIDTH = 16, 64


def stored_by_hand(bits, group_size, offset, permuted):
    """Random integers, and the words of a file that hold them, value by value."""
    generator = torch.Generator().manual_seed(bits)

    def draw(low, *shape):
        return torch.randint(low, 2**bits, shape, generator=generator)

    groups = WIDTH // group_size
    values, zeros = draw(0, WIDTH, OUT), draw(1, groups, OUT)
    scales = (torch.rand(groups, OUT, generator=generator) + 0.5).half()
    group = torch.arange(WIDTH) // group_size
    if permuted:
        group = group[torch.randperm(WIDTH, generator=generator)]
    each = 32 // bits
    qweight = torch.zeros(WIDTH // each, OUT, dtype=torch.int64)
    for i in range(WIDTH):
        qweight[i // each] |= values[i] << bits * (i % each)
    qzeros = torch.zeros(groups, OUT // each, dtype=torch.int64)
    for o in range(OUT):
        qzeros[:, o // each] |= (zeros[:, o] - offset) << bits * (o % each)
    signed = [(t + 2**31) % 2**32 - 2**31 for t in (qweight, qzeros)]
    stored = {
        "qweight": signed[0].to(torch.int32),
        "qzeros": signed[1].to(torch.int32),
        "scales": scales,
        "g_idx": group.to(torch.int32),
    }
    # the definition: W[o, i] = scales[g, o] (q[i, o] - zero[g, o])
    weight = torch.empty(OUT, WIDTH)
    for i in range(WIDTH):
        weight[:, i] = scales[group[i]].float() * (values[i] - zeros[group[i]])
    return stored, weight


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("offset", "permuted"), [(1, False), (0, True)])
def test_a_layer_is_that_of_its_definition(bits, offset, permuted):
    stored, weight = stored_by_hand(bits, 32, offset, permuted)
    layer = GptqLinear("layer", nn.Linear(WIDTH, OUT, bias=False), stored, bits, offset)
    layer.settle()
    assert (layer.g_idx is None) is not permuted
    plain = nn.Linear(WIDTH, OUT, bias=False)
    plain.weight.data = weight
    x = torch.randn(3, 5, WIDTH, requires_grad=True)
    outer = torch.randn(3, 5, OUT)
    torch.testing.assert_close(layer(x), plain(x), rtol=1e-6, atol=1e-4)
    (found,) = torch.autograd.grad((layer(x) * outer).sum(), x)
    (expected,) = torch.autograd.grad((plain(x) * outer).sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-4)
    assert torch.equal(layer.plain(torch.float32).weight, weight)


@pytest.mark.parametrize("symmetric", [False, True])
def test_what_is_packed_is_unpacked(symmetric):
    weight = torch.randn(OUT, WIDTH)
    values, zeros, scales = rounded(weight, 4, 32, symmetric=symmetric)
    stored = pack(values, zeros, scales, bits=4, group_size=32)
    layer = GptqLinear("layer", nn.Linear(WIDTH, OUT, bias=False), stored, 4, 1)
    layer.settle()
    step = scales.repeat_interleave(32, 1)
    assert ((layer.plain(torch.float32).weight - weight).abs() <= step * 0.51).all()


# -- config.json -------------------------------------------------------------------------------


def test_what_config_json_says_of_the_file():
    read = gptq.bind("gptq").read
    assert read({"bits": 8, "group_size": 32}) == Scheme(8, 32, 1)
    assert read({"bits": 4, "group_size": -1, "checkpoint_format": "gptq_v2"}) == Scheme(4, -1, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bits": 3}, "GPTQ weights of 3 bits"),
        ({"bits": 4, "checkpoint_format": "marlin"}, "file format marlin"),
    ],
)
def test_what_it_does_not_read_is_said(settings, words):
    with pytest.raises(InputError, match=words):
        gptq.bind("gptq").read(settings)


def test_words_of_another_width_are_refused():
    stored, _ = stored_by_hand(4, 32, 1, False)
    with pytest.raises(InputError, match=r"int32 of \(8, 16\), and 8 bits .* int32 of \(16, 16\)"):
        GptqLinear("layer", nn.Linear(WIDTH, OUT), stored, 8, 1)
