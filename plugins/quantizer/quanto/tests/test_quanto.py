"""Quanto: which layers are quantized, what they compute, and that an adapter learns on them."""

import pytest
import torch
from harness import tiny_run, train
from optimum.quanto import QLinear

from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_quanto import quantizer as quanto
from ft_trainer_sft import trainer as sft


def run_of(folder, **options):
    parts = [
        quanto.bind("quanto", options),
        lora.bind("lora", {"rank": 4}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 6, "precision": "float32"}),
    ]
    return tiny_run(folder, parts)


def quantized(model):
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, QLinear)}


@pytest.mark.parametrize("type_", ["int8", "fp8"])
def test_lora_learns_on_each_type(tmp_path, type_):
    run = run_of(tmp_path, type=type_)
    layers = quantized(run.model)
    assert len(layers) == 14
    x = torch.randn(3, 64)
    for name, layer in layers.items():
        if layer.in_features == 64:
            expected = x @ layer.weight.dequantize().t()
            torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4, msg=name)
    losses = train(run)
    assert losses[-1] < losses[0]
    assert all("lora_" in name for name, _ in run.trainable())


def test_layers_can_be_left_out(tmp_path):
    names = quantized(run_of(tmp_path, skip=["down_proj"]).model)
    assert len(names) == 12
    assert not any("down_proj" in name for name in names)


def test_what_a_layer_gives_may_be_added_to_in_place(tmp_path):
    layer = next(iter(quantized(run_of(tmp_path).model).values()))
    x = torch.randn(2, 3, layer.in_features, requires_grad=True)
    output = layer(x)
    output += torch.ones(layer.out_features, requires_grad=True)
    output.sum().backward()
    torch.testing.assert_close(
        x.grad, layer.weight.dequantize().sum(0).expand_as(x), rtol=1e-4, atol=1e-4
    )
