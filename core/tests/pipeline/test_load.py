"""Checkpoints that cannot be loaded, or not whole."""

from __future__ import annotations

import json

import pytest
from harness import tiny_run, write_random_model
from safetensors.torch import load_file, save_file

from ft.api import InputError, ModelFamily
from ft_adapter_full import adapter


def test_an_unknown_architecture_is_the_users_error(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "nosuch"}))
    with pytest.raises(InputError, match="configuration cannot be read"):
        tiny_run(tmp_path, [adapter.bind("full")])


def test_weights_that_the_checkpoint_lacks_are_told(tmp_path):
    folder = tmp_path / "model"
    write_random_model(folder, ModelFamily("Llama", "Meta", ("llama",)), "llama")
    assert tiny_run(tmp_path, [adapter.bind("full")]).progress.lines == []
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (line,) = tiny_run(tmp_path, [adapter.bind("full")]).progress.lines
    assert "lacks model.layers.1.mlp.up_proj.weight; these weights start at random" in line


def test_weights_of_another_size_than_the_configuration_says_are_named(tmp_path):
    folder = tmp_path / "model"
    write_random_model(folder, ModelFamily("Llama", "Meta", ("llama",)), "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 96}))
    with pytest.raises(InputError, match=r"disagree on the size of model\.layers\.0\.mlp"):
        tiny_run(tmp_path, [adapter.bind("full")])


def test_a_family_may_bring_its_own_classes(tmp_path):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from ft.conformance.bench import logits, save
    from ft.conformance.reference import REFERENCES
    from ft.conformance.tiny import write_tiny

    family = REFERENCES["model"]
    write_tiny(tmp_path / "model", family, "ft-reference")
    run = tiny_run(tmp_path, [], family=family, model_type="ft-reference")
    save(run)
    assert logits(run.load_result()).equal(logits(run.model))
    assert "ft-reference" not in CONFIG_MAPPING
    # an implementation that the classes do not have
    wrong = family.bind("ft-reference", {"attention": "flash_attention_2", "random_weights": True})
    run.selection = run.selection.replaced(run.family, wrong)
    run.config._attn_implementation = "flash_attention_2"
    with pytest.raises(InputError, match="the model cannot be built"):
        run.load_base()
