"""Checkpoints that cannot be loaded, or not whole."""

from __future__ import annotations

import json

import pytest
from harness import tiny_run, write_random_model
from safetensors.torch import load_file, save_file

from ft.api import InputError, ModelFamily, Run
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection
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


@pytest.fixture
def pickled(tmp_path):
    """A checkpoint whose weights are a pickle."""
    import torch

    folder = tmp_path / "model"
    write_random_model(folder, ModelFamily("Llama", "Meta", ("llama",)), "llama")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return tmp_path


def curated(folder, monkeypatch, grants=""):
    """A project under a strict policy as the working folder."""
    (folder / "ft.toml").write_text(f'[plugins]\nmode = "curated"\ngrants = [{grants}]\n')
    monkeypatch.chdir(folder)


def test_pickled_weights_need_leave(pickled, monkeypatch):
    assert tiny_run(pickled, [adapter.bind("full")]).progress.lines == []
    curated(pickled, monkeypatch)
    with pytest.raises(InputError, match="without safetensors needs leave") as raised:
        tiny_run(pickled, [adapter.bind("full")])
    assert 'grants = ["pickled-weights"]' in str(raised.value)
    curated(pickled, monkeypatch, '"pickled-weights"')
    assert tiny_run(pickled, [adapter.bind("full")]).progress.lines == []


def test_safetensors_need_none(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    write_random_model(folder, ModelFamily("Llama", "Meta", ("llama",)), "llama")
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    curated(tmp_path, monkeypatch)
    assert tiny_run(tmp_path, [adapter.bind("full")]).progress.lines == []


def test_code_of_a_checkpoint_needs_leave(tmp_path, monkeypatch):
    """The checkpoint's module leaves a trace when it is run."""
    folder = tmp_path / "model"
    folder.mkdir()
    names = {"AutoConfig": "configuration_own.Own"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": names}))
    (folder / "configuration_own.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "from transformers import PretrainedConfig\n"
        "class Own(PretrainedConfig):\n    model_type = 'own'\n"
    )
    family = ModelFamily("Own", "nobody", ("own",))
    run = Run(
        Selection([family.bind("own", {"trust_remote_code": True})], DEFAULTS), folder=tmp_path
    )
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    curated(tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"model\.trust_remote_code needs leave"):
        run.hook.ft_load_config(run=run, folder=folder)
    assert not (tmp_path / "ran").exists()
    curated(tmp_path, monkeypatch, '"trust-remote-code"')
    assert run.hook.ft_load_config(run=run, folder=folder).model_type == "own"
    assert (tmp_path / "ran").exists()
