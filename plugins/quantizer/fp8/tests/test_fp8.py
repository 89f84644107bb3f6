"""A base in float8: what its layers compute, what they leave alone, and what is saved."""

import gc
import weakref

import pytest
import torch
from harness import tiny_run, train
from torch import nn

from ft.api import FrozenLinear
from ft.recipe.fit import misfits
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_fp8 import quantizer as fp8
from ft_quantizer_fp8.linear import Float8Linear, dequantized, quantize_layers, rounded
from ft_trainer_sft import trainer as sft

IDS = torch.arange(3, 23)[None]
WIDTHS = [(32, 48), (20, 7), (1, 3)]
"""Widths (in, out): multiples of 16, and others, which no float8 product takes."""


def layer_of(width, out, bias=True, kind=torch.float32):
    torch.manual_seed(width)
    return nn.Linear(width, out, bias=bias, dtype=kind)


def run_of(folder, adapter=lora, options=None, **fp8_options):
    parts = [
        fp8.bind("fp8", fp8_options),
        adapter.bind("adapter", options or {}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 4, "precision": "float32"}),
    ]
    return tiny_run(folder, parts)


def quantized(model):
    return {name for name, layer in model.named_modules() if isinstance(layer, Float8Linear)}


# -- the rounding ------------------------------------------------------------------------------


def test_each_row_is_rounded_with_a_scale_of_its_own():
    rows = torch.randn(5, 64) * torch.tensor([1e-6, 1e-2, 1.0, 1e2, 0.0])[:, None]
    values, scale = rounded(rows)
    assert values.dtype == torch.float8_e4m3fn
    assert scale.shape == (5, 1)
    found = dequantized(values.view(torch.uint8), scale, torch.float32)
    # three bits of mantissa: a sixteenth of the value, or of the smallest step near zero
    wrong = (found - rows).abs() / torch.maximum(rows.abs(), scale * 2**-6).clamp(min=1e-30)
    assert wrong.max() <= 1 / 16
    assert wrong.max() > 1 / 64
    assert not found[4].any()


@pytest.mark.parametrize(("width", "out"), WIDTHS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_layer_is_that_of_its_dequantized_weight(width, out, bias, transposed):
    layer = layer_of(width, out, bias)
    plain = layer_of(width, out, bias)
    found = Float8Linear(layer, transposed)
    plain.weight.data = dequantized(found.weight, found.scale, torch.float32)
    assert isinstance(found, FrozenLinear)
    assert not found.weight.requires_grad
    x = torch.randn(2, 5, width, requires_grad=True)
    outer = torch.randn(2, 5, out)
    torch.testing.assert_close(found(x), plain(x))
    (gradient,) = torch.autograd.grad((found(x) * outer).sum(), x)
    (expected,) = torch.autograd.grad((plain(x) * outer).sum(), x)
    torch.testing.assert_close(gradient, expected)


def test_a_bias_trains_where_it_is_asked_to():
    layer = Float8Linear(layer_of(32, 48), True)
    layer(torch.randn(3, 32)).sum().backward()
    torch.testing.assert_close(layer.bias.grad, torch.full((48,), 3.0))
    assert layer.weight.grad is None


def test_products_are_in_the_type_of_autocast():
    layer = Float8Linear(layer_of(32, 48, bias=False), True)
    x = torch.randn(3, 32, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    assert x.grad.dtype == torch.float32
    expected = dequantized(layer.weight, layer.scale, torch.float32).sum(0).expand(3, -1)
    torch.testing.assert_close(x.grad, expected, rtol=2e-2, atol=2e-2)


# -- a model -----------------------------------------------------------------------------------


def test_every_linear_layer_but_the_output_layer_is_quantized(tmp_path):
    run = run_of(tmp_path)
    base = run.model.get_base_model()
    assert len(quantized(base)) == 14  # seven in each of two blocks
    assert type(base.lm_head) is nn.Linear
    assert {p.dtype for name, p in base.named_parameters() if "lora" in name} == {torch.float32}


def test_layers_named_by_their_ending_stay(tmp_path):
    base = run_of(tmp_path, skip=["down_proj", "1.self_attn.q_proj"]).model.get_base_model()
    names = {name.removesuffix(".base_layer") for name in quantized(base)}
    assert len(names) == 11
    assert not any(name.endswith("down_proj") for name in names)
    assert "model.layers.1.self_attn.q_proj" not in names
    assert "model.layers.0.self_attn.q_proj" in names


def test_memory_is_given_back_layer_by_layer(monkeypatch):
    """Of the weights in 16 bits or more, that of the layer in hand alone is beside its float8."""
    model = nn.Sequential(*(nn.Linear(16, 16) for _ in range(6)))
    weights = [weakref.ref(layer.weight) for layer in model]
    left = []

    def counted(rows):
        gc.collect()
        left.append(sum(weight() is not None for weight in weights))
        return rounded(rows)

    monkeypatch.setattr("ft_quantizer_fp8.linear.rounded", counted)
    quantize_layers(model, [], transposed=False)
    assert left == [6, 5, 4, 3, 2, 1]
    assert all(weight() is None for weight in weights)
    bytes_left = sum(layer.weight.element_size() * layer.weight.numel() for layer in model)
    assert bytes_left == 6 * 16 * 16


def test_it_learns_and_only_the_adapter_does(tmp_path):
    run = run_of(tmp_path)
    before = {n: p.detach().clone() for n, p in run.model.named_parameters()}
    losses = train(run)
    assert losses[-1] < losses[0]
    changed = {n for n, p in run.model.named_parameters() if not p.equal(before[n])}
    assert changed
    assert all("lora_" in name for name in changed)


def test_the_result_is_saved_and_restored(tmp_path):
    run = run_of(tmp_path)
    train(run)
    with torch.no_grad():
        expected = run.model.eval()(input_ids=IDS).logits
        run.hook.ft_save_model(run=run, model=run.model, folder=run.folder / "result")
        restored = run.load_result().eval()
        found = restored(input_ids=IDS).logits
    assert len(quantized(restored)) == 14
    torch.testing.assert_close(found, expected)


def test_training_every_weight_is_refused():
    parts = [fp8.bind("fp8", {}), full.bind("full", {})]
    (found,) = misfits(parts)
    assert found.capability == "quantized-base"
    assert "full" in found.sentence
    allowed = misfits([fp8.bind("fp8", {}), lora.bind("lora", {})])
    assert all(misfit.capability == "linear-layers" for misfit in allowed)  # of the model
