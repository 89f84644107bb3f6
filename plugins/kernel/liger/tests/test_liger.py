"""What Liger changes and what comes back.

Its kernels run where there is no accelerator under triton's interpreter, which has to be
chosen before anything imports triton: ``TRITON_INTERPRET=1 pytest …``.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from importlib.util import find_spec

import pytest
import torch
from harness import random_rows, tiny_run

from ft.api import InputError, ModelFamily
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_kernel_liger import kernel as liger

installed = pytest.mark.skipif(
    find_spec("liger_kernel") is None or os.environ.get("TRITON_INTERPRET") != "1",
    reason="needs liger-kernel, and TRITON_INTERPRET=1 from the start",
)
INTERPRETED = {"rms_norm": False, "activation": False}
"""What triton's interpreter cannot run."""


def run_of(folder, options=None, adapter=full, model_type="llama"):
    kernels = [] if options is None else [liger.bind("liger", options)]
    tiny = {"glm4": {"pad_token_id": 0}}
    family = ModelFamily(model_type, "tests", (model_type,), tiny=tiny)
    parts = [adapter.bind("adapter"), *kernels]
    return tiny_run(folder, parts, family=family, model_type=model_type)


@pytest.fixture
def interpreter(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def gradients(run, batch):
    found = run.token_losses(run.model, batch, label_smoothing=0.1)
    (found.losses * torch.linspace(0.5, 2, len(found.losses))).sum().backward()
    return {name: p.grad for name, p in run.trainable() if p.grad is not None}, found.losses


def test_it_refuses_a_cpu(tmp_path, monkeypatch):
    run = run_of(tmp_path)  # before the variable is gone, which is read on triton's import
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(
        InputError, match="needs an accelerator with triton, and this run is on cpu"
    ):
        liger.bind("liger").ft_patch_config(run)


@pytest.mark.parametrize(
    ("version", "message"), [(None, "is not installed"), ("0.6.2", "0.6.2 is too old")]
)
def test_it_says_how_to_install_it(tmp_path, monkeypatch, interpreter, version, message):
    run = run_of(tmp_path)  # it asks for versions itself

    def installed_version(name):
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", installed_version)
    with pytest.raises(InputError, match=message) as found:
        liger.bind("liger").ft_patch_config(run)
    assert found.value.hint == "install it: pip install 'liger-kernel>=0.8.5'"


def test_the_loss_kernel_is_there_only_when_asked_for():
    assert "loss-kernel" not in liger.bind("liger").capabilities().provides
    assert "loss-kernel" in liger.bind("liger", {"loss": True}).capabilities().provides


@installed
@pytest.mark.parametrize("adapter", [full, lora], ids=["full", "lora"])
def test_rotary_positions_and_loss_are_the_models_own(tmp_path, adapter):
    plain = run_of(tmp_path / "plain", adapter=adapter)
    batch = plain.collate(random_rows(2))
    expected, losses = gradients(plain, batch)
    run = run_of(tmp_path / "fused", {**INTERPRETED, "loss": True}, adapter)
    found, fused = gradients(run, batch)
    torch.testing.assert_close(fused, losses, atol=1e-5, rtol=1e-4)
    assert found.keys() == expected.keys()
    run.selection.notify("ft_end_process", run=run, ending=True)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@installed
def test_a_batch_without_trained_tokens_has_no_losses(tmp_path):
    run = run_of(tmp_path, {**INTERPRETED, "loss": True})
    rows = random_rows(2)
    for row in rows:
        row.weights[:] = [0.0] * len(row.weights)
    found = run.token_losses(run.model, run.collate(rows), label_smoothing=0.0)
    run.selection.notify("ft_end_process", run=run, ending=True)
    assert found.losses.shape == (0,)


@installed
def test_everything_is_changed_and_comes_back(tmp_path):
    plain = run_of(tmp_path / "plain")
    modelling = sys.modules["transformers.models.llama.modeling_llama"]
    before = dict(vars(modelling))
    run = run_of(tmp_path / "fused", {})
    said = "kernel liger: 5 norms, 2 activations, rotary positions"
    assert [line for line in run.progress.lines if "liger" in line] == [said]
    assert modelling.apply_rotary_pos_emb is not before["apply_rotary_pos_emb"]
    assert run.model.model.norm.forward.__module__.startswith("liger_kernel")
    run.frozen_copy()  # loads once more, and finds what the first left
    run.selection.notify("ft_end_process", run=run, ending=True)
    assert vars(modelling) == before
    assert "forward" not in vars(plain.model.model.norm)


@installed
def test_an_unknown_family_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not know models of type gpt2") as found:
        run_of(tmp_path, {}, model_type="gpt2")
    assert "llama" in found.value.hint


@installed
def test_what_liger_lacks_is_told(tmp_path):
    run = run_of(tmp_path / "some", {}, model_type="glm4")
    assert any("has no rotary for glm4" in line for line in run.progress.lines)
    with pytest.raises(InputError, match="has no rotary for models of type glm4"):
        run_of(tmp_path / "none", INTERPRETED, model_type="glm4")
