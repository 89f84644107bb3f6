import torch
from harness import tiny_run, train

from ft.conformance.reference.int8 import Int8Linear
from ft_adapter_dora import adapter as dora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def dora_run(folder, steps=3, **options):
    plugins = [
        dora.bind("dora", {"target": ["q_proj"], "rank": 4, **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_update_is_that_of_the_paper(tmp_path):
    run = dora_run(tmp_path)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    whole = layer.base_layer.weight + 2 * b @ a
    magnitude = layer.lora_magnitude_vector["default"].weight
    expected = x @ (magnitude[:, None] * whole / whole.norm(dim=1, keepdim=True)).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_the_reference(tmp_path):
    """PEFT's own layer, which makes the whole weight at each step."""
    from peft.tuners.lora.dora import DoraLinearLayer

    run = dora_run(tmp_path)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    found = layer.lora_magnitude_vector["default"]
    reference = DoraLinearLayer(fan_in_fan_out=False)
    reference.weight = found.weight
    factors = [found.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    results = []
    for one in (found, reference):
        out = one(
            x,
            lora_A=layer.lora_A["default"],
            lora_B=layer.lora_B["default"],
            scaling=2.0,
            base_layer=layer.base_layer,
        )
        results.append((out, *torch.autograd.grad(out.square().sum(), factors)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_magnitudes_are_those_of_a_quantized_base(tmp_path):
    run = dora_run(tmp_path)
    layer = Int8Linear(torch.nn.Linear(64, 32))
    made = first_query(run.model).lora_magnitude_vector["default"]
    expected = (layer.weight.float() * layer.scale).norm(dim=1)
    torch.testing.assert_close(made.row_squares(layer).sqrt(), expected)
