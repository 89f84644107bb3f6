"""Weights in the file format of GPTQ: what they stand for, and a model of them."""

import json

import pytest
import torch
from harness import logits, save, tiny_run, train, write_random_model
from safetensors.torch import load_file, save_file
from torch import nn

from ft.api import InputError, ModelFamily
from ft_adapter_lora import adapter as lora
from ft_exporter_merged import exporter as merged
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_gptq import quantizer as gptq
from ft_quantizer_gptq.linear import GptqLinear, pack, rounded
from ft_trainer_sft import trainer as sft

FAMILY = ModelFamily("Llama", "Meta", ("llama",), accepts=("packing",))
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


# -- a model -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with ``model``, a tiny checkpoint in the file format, and ``plain``."""
    folder = tmp_path_factory.mktemp("gptq")
    write_random_model(folder / "plain", FAMILY, "llama")
    from transformers import AutoModelForCausalLM

    gptq.bind("gptq").write(AutoModelForCausalLM.from_pretrained(folder / "plain"), folder / "model")
    return folder


def lora_run(folder, *more):
    parts = [
        gptq.bind("gptq"),
        lora.bind("lora", {"rank": 4}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 8, "precision": "float32"}),
    ]
    return tiny_run(folder, [*parts, *more])


def test_lora_learns_on_it_and_merges_into_plain_weights(checkpoint):
    run = lora_run(checkpoint, merged.bind("merged"))
    layers = [m for m in run.model.modules() if isinstance(m, GptqLinear)]
    assert len(layers) == 14  # seven in each of two blocks
    losses = train(run)
    assert losses[-1] < losses[0]
    assert all("lora_" in name for name, _ in run.trainable())
    trained = logits(run.model)
    save(run)

    run.full_precision = True  # as `ft export` opens a result
    out = run.selection.call(run.part("exporter"), "ft_export", run=run, folder=checkpoint / "out")
    assert "quantization_config" not in json.loads((out / "config.json").read_text())
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    torch.testing.assert_close(logits(plain), trained, rtol=1e-3, atol=1e-3)


def changed(checkpoint, folder, **settings):
    """The checkpoint with other settings in ``quantization_config``."""
    target = folder / "model"
    target.mkdir(parents=True)
    for file in (checkpoint / "model").iterdir():
        (target / file.name).symlink_to(file)
    config = json.loads((target / "config.json").read_text())
    config["quantization_config"] |= settings
    (target / "config.json").unlink()
    (target / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bits": 3}, "GPTQ weights of 3 bits"),
        ({"checkpoint_format": "marlin"}, "file format marlin"),
        ({"bits": 8}, r"qweight is torch.int32 of \(16, 64\), and 8 bits"),
    ],
)
def test_what_it_does_not_read_is_said(checkpoint, tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        lora_run(changed(checkpoint, tmp_path, **settings))


def test_a_plain_checkpoint_is_refused(checkpoint, tmp_path):
    (tmp_path / "model").symlink_to(checkpoint / "plain")
    with pytest.raises(InputError, match="those of this checkpoint are not"):
        lora_run(tmp_path)


def test_a_tensor_that_is_missing_is_named(checkpoint, tmp_path):
    folder = changed(checkpoint, tmp_path)
    file = folder / "model" / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.down_proj.scales"]
    file.unlink()
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(InputError, match="scales"):
        lora_run(folder)


def test_weights_of_no_linear_layer_are_named(checkpoint, tmp_path):
    folder = changed(checkpoint, tmp_path)
    file = folder / "model" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.0.mlp.experts.0.up_proj.qweight"] = torch.zeros(2, 2).int()
    file.unlink()
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"experts\.0\.up_proj, where this model has no linear"):
        lora_run(folder)
