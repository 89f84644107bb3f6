"""Corner: checkpoints that are quantized already, in the form of each quantizer that reads one."""

from __future__ import annotations

import importlib
import shutil

import pytest
import torch
from checkout import distributions
from harness import logits, save, tiny_run, train, write_random_model
from safetensors.torch import load_file, save_file

from ft.api import InputError, ModelFamily, Prequantized
from ft.api.packed import PackedLinear
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

FAMILY = ModelFamily("Llama", "Meta", ("llama",), accepts=("packing",))


def quantizers() -> dict[str, Prequantized]:
    """The quantizers of quantized checkpoints, by name."""
    found = {}
    for distribution in distributions():
        if "ft.match.quantization" in distribution.entry_points:
            plugin = importlib.import_module(distribution.module).quantizer
            if isinstance(plugin, Prequantized):
                found[distribution.name] = plugin
    return found


QUANTIZERS = quantizers()
every = pytest.mark.parametrize("name", QUANTIZERS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_random_model(tmp_path_factory.mktemp("plain") / "model", FAMILY, "llama")


def write(plain, folder, name):
    """The plain checkpoint in the form of a quantizer."""
    from transformers import AutoModelForCausalLM

    QUANTIZERS[name].bind(name).write(AutoModelForCausalLM.from_pretrained(plain), folder / "model")


def lora_run(folder, name):
    parts = [
        QUANTIZERS[name].bind(name),
        lora.bind("lora", {"rank": 4}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 6, "precision": "float32"}),
    ]
    return tiny_run(folder, parts)


@every
def test_an_adapter_learns_on_it_and_merges_into_plain_weights(plain, tmp_path, name):
    write(plain, tmp_path, name)
    run = lora_run(tmp_path, name)
    layers = [m for m in run.model.modules() if isinstance(m, PackedLinear)]
    assert len(layers) == 14  # seven in each of two blocks
    losses = train(run)
    assert losses[-1] < losses[0]
    assert all("lora_" in key for key, _ in run.trainable())
    trained = logits(run.model)
    with pytest.raises(InputError, match="cannot be merged into quantized weights"):
        run.merge(run.model)

    save(run)
    run.full_precision = True  # as `ft export` opens a result
    merged = run.merge(run.load_result())
    assert not any(isinstance(layer, PackedLinear) for layer in merged.modules())
    assert {p.dtype for p in merged.parameters()} == {torch.float32}
    assert "quantization_config" not in merged.config.to_dict()
    torch.testing.assert_close(logits(merged), trained, rtol=1e-3, atol=1e-3)


@every
def test_a_plain_checkpoint_is_refused(plain, tmp_path, name):
    shutil.copytree(plain, tmp_path / "model")
    with pytest.raises(InputError, match="those of this checkpoint are not"):
        lora_run(tmp_path, name)


@every
def test_a_tensor_that_is_missing_is_named(plain, tmp_path, name):
    write(plain, tmp_path, name)
    missing = "model.layers.1.mlp.down_proj." + QUANTIZERS[name].required[-1]
    change(tmp_path, lambda tensors: tensors.pop(missing))
    with pytest.raises(InputError, match=missing):
        lora_run(tmp_path, name)


def test_weights_of_no_linear_layer_are_named(plain, tmp_path):
    """Experts in files of their own, which the model joins in one tensor."""
    name = next(iter(QUANTIZERS))
    write(plain, tmp_path, name)
    layer = "model.layers.0.mlp.down_proj"
    change(
        tmp_path,
        lambda tensors: tensors.update(
            {k.replace(layer, "experts.0.up"): t.clone() for k, t in tensors.items() if layer in k}
        ),
    )
    with pytest.raises(InputError, match=r"experts\.0\.up, where this model has no linear layer"):
        lora_run(tmp_path, name)


def change(folder, how):
    file = folder / "model" / "model.safetensors"
    tensors = load_file(file)
    how(tensors)
    save_file(tensors, file, {"format": "pt"})
