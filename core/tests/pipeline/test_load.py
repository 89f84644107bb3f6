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
