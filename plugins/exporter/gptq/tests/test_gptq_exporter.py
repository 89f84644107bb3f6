"""GPTQ: what it loses against rounding to the nearest, and what is written."""

import json

import pytest
import torch
from harness import save, tiny_run, train
from tiny import write_tiny

from ft.api import InputError
from ft_adapter_lora import adapter as lora
from ft_exporter_gptq import exporter as gptq
from ft_exporter_gptq.quantize import quantize
from ft_model_smollm2 import family
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_gptq import quantizer as reader
from ft_quantizer_gptq.linear import grid
from ft_trainer_sft import trainer as sft

OPTIONS = {"bits": 4, "group_size": 32, "symmetric": False}


def dequantized(values, zeros, scales, groups):
    return (values.float() - zeros[:, groups]) * scales[:, groups]


def correlated(width):
    """Inputs of which each is much like its neighbours, and their Hessian."""
    torch.manual_seed(0)
    x = torch.randn(400, width) @ torch.randn(width, width) / width**0.5 + torch.randn(400, 1)
    return x, 2 * x.t() @ x


@pytest.mark.parametrize("bits", [2, 4])
def test_outputs_move_less_than_by_rounding_to_the_nearest(bits):
    x, hessian = correlated(192)  # more than a block
    weight = torch.randn(24, 192)
    lost = []
    for given, by_activation in ((None, False), (hessian, False), (hessian, True)):
        found = quantize(weight, given, by_activation=by_activation, **{**OPTIONS, "bits": bits})
        lost.append(float((x @ (dequantized(*found) - weight).t()).square().mean()))
    assert max(lost[1:]) < 0.6 * lost[0]


def test_with_a_diagonal_hessian_it_is_rounding_to_the_nearest():
    weight = torch.randn(8, 64)
    found = quantize(weight, torch.diag(torch.rand(64) + 0.1), **OPTIONS)
    scale, zero = (t[..., None] for t in grid(weight.unflatten(1, (-1, 32)), 4, symmetric=False))
    nearest = (weight.unflatten(1, (-1, 32)) / scale + zero).round().clamp(0, 15)
    assert torch.equal(found[0].float(), nearest.flatten(1))


def test_the_error_of_a_weight_is_made_up_for_as_the_paper_says():
    """Equation 2: the others move by -error / [H⁻¹]qq times row q of H⁻¹."""
    torch.manual_seed(1)
    weight = torch.randn(1, 8)
    root = torch.randn(8, 8)
    hessian = root @ root.t() + torch.eye(8)
    values, zeros, scales, _ = quantize(
        weight, hessian, bits=4, group_size=8, symmetric=False, damping=1e-9
    )
    left, inverse = weight[0].double().clone(), torch.linalg.inv(hessian.double())
    for q in range(8):
        scale, zero = scales[0, 0].double(), zeros[0, 0].double()
        value = (left[q] / scale + zero).round().clamp(0, 15)
        assert value == values[0, q]
        error = left[q] - (value - zero) * scale
        rest = slice(q + 1, None)
        left[rest] -= error / inverse[0, 0] * inverse[0, 1:]
        # what is rounded is taken out of the Hessian (equation 3)
        inverse = inverse[1:, 1:] - inverse[1:, :1] @ inverse[:1, 1:] / inverse[0, 0]


def test_putting_compensation_off_changes_nothing(monkeypatch):
    """Groups that lie in two blocks, too."""
    _, hessian = correlated(192)
    weight = torch.randn(8, 192)
    options = {**OPTIONS, "group_size": 48}
    found = quantize(weight, hessian, **options)
    monkeypatch.setattr("ft_exporter_gptq.quantize.BLOCK", 192)
    for one, other in zip(found, quantize(weight, hessian, **options), strict=True):
        torch.testing.assert_close(one, other)


def test_inputs_that_are_always_zero_do_no_harm():
    x, _ = correlated(64)
    x[:, 5] = 0
    found = quantize(torch.randn(8, 64), 2 * x.t() @ x, by_activation=True, **OPTIONS)
    assert all(torch.isfinite(tensor).all() for tensor in found)


# -- a run -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that has trained, with its result."""
    folder = tmp_path_factory.mktemp("gptq")
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [
        lora.bind("lora"),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 5, "precision": "float32"}),
        gptq.bind("gptq"),
    ]
    run = tiny_run(folder, plugins, family=family)
    train(run)
    save(run)
    return run


def export(run, folder, **options):
    plugin = gptq.bind("gptq", {"group_size": 32, **options}, folder=folder)
    former = run.part("exporter")
    run.selection = run.selection.replaced(former, plugin)
    return run.selection.call(plugin, "ft_export", run=run, folder=folder / "out")


def read(folder):
    """The model that was written, as quantizer gptq loads it."""
    return tiny_run(folder, [reader.bind("gptq"), lora.bind("lora")], family=family).model


def answers(model, ids):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits


def test_what_is_written_is_read_again_and_calibration_helps(finished, tmp_path):
    text = "The quick brown fox jumps over the lazy dog. Paris is the capital of France."
    rows = [{"text": text}, {"messages": [{"role": "user", "content": "Who are you?"}]}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ids = finished.encode_text([text])[0].input_ids
    trained, off = answers(finished.model, ids), {}
    for name, options in {
        "nearest": {},
        "calibrated": {"data": str(file)},
        "ordered": {"data": str(file), "order": "activation", "symmetric": False},
        "8 bits": {"data": str(file), "bits": 8},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        export(finished, folder, **options)
        (folder / "out").rename(folder / "model")
        finished.processor.save_pretrained(folder / "model")
        off[name] = float((answers(read(folder), ids) - trained).square().mean().sqrt())
    assert off["calibrated"] < off["nearest"]
    assert off["ordered"] < off["nearest"]
    assert off["8 bits"] < 0.2 * off["nearest"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"instruction": "x"}', r"rows.jsonl:2: this row cannot be rendered"),
        ("no json", r"rows.jsonl:2: no JSON"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(finished, tmp_path, line, words):
    (tmp_path / "rows.jsonl").write_text('{"text": "good"}\n' + line + "\n")
    with pytest.raises(InputError, match=words):
        export(finished, tmp_path, data="rows.jsonl")


def test_a_layer_that_groups_do_not_divide_is_named(finished, tmp_path):
    with pytest.raises(InputError, match=r"q_proj has 64 inputs .* groups of 48 inputs"):
        export(finished, tmp_path, group_size=48)
