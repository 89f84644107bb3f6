"""Which layers are fused, and when the kernel refuses; Unsloth itself runs on CUDA alone."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
import torch
from harness import random_rows, tiny_run

from ft.api import InputError, ModelFamily
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_kernel_unsloth import gated_layers, import_kernels
from ft_kernel_unsloth import kernel as unsloth

STAND_IN = """
def apply_lora_mlp_swiglu(self, X, inplace=True):
    assert not inplace
    self.fused = getattr(self, "fused", 0) + 1
    return self.down_proj(self.act_fn(self.gate_proj(X)) * self.up_proj(X))
"""


class Narrow(ModelFamily):
    """The tiny family with its weights in bfloat16."""

    def bind(self, name, options=None, **kwargs):
        return super().bind(name, {"dtype": "bfloat16", **(options or {})}, **kwargs)


NARROW = Narrow("Llama", "Meta", ("llama",))


def adapted(folder, adapter=lora, family=NARROW, **options):
    return tiny_run(folder, [adapter.bind("adapter", options)], family=family).model


def test_every_gated_layer_with_lora_is_fused(tmp_path):
    found = gated_layers(adapted(tmp_path))
    assert [type(layer).__name__ for layer, _ in found] == ["LlamaMLP"] * 2
    assert {function for _, function in found} == {"apply_lora_mlp_swiglu"}


@pytest.mark.parametrize(
    ("adapter", "options"),
    [(lora, {"target": ["q_proj", "gate_proj"]}), (full, {})],
    ids=["two-matrices", "full"],
)
def test_layers_with_less_are_left_alone(tmp_path, adapter, options):
    assert gated_layers(adapted(tmp_path, adapter, **options)) == []


def test_wide_weights_are_left_alone(tmp_path):
    family = ModelFamily("Llama", "Meta", ("llama",))
    assert gated_layers(adapted(tmp_path, family=family, target="all-linear")) == []


def test_it_refuses_a_cpu(tmp_path):
    with pytest.raises(InputError, match="needs a CUDA device, and this run is on cpu"):
        tiny_run(tmp_path, [lora.bind("lora"), unsloth.bind("unsloth")])


@pytest.mark.skipif(find_spec("unsloth") is not None, reason="unsloth is installed")
def test_it_says_how_to_install_it(tmp_path):
    run = tiny_run(tmp_path, [lora.bind("lora")])
    run.device = torch.device("cuda")  # what is asked first is not there to ask
    with pytest.raises(InputError, match="not installed") as found:
        unsloth.bind("unsloth").ft_patch_config(run)
    assert found.value.hint == "install it: pip install unsloth"
    with pytest.raises(InputError, match="cannot be imported: No module named"):
        import_kernels()


def test_a_run_with_nothing_to_fuse_is_refused(tmp_path):
    run = tiny_run(tmp_path, [lora.bind("lora", {"target": ["q_proj"]})], family=NARROW)
    with pytest.raises(InputError, match="no layer that it can fuse"):
        unsloth.bind("unsloth").ft_patch_trained(run, run.model)


def test_fused_layers_go_through_its_function(tmp_path, monkeypatch):
    package = tmp_path / "site" / "unsloth" / "kernels"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path / "site")
    run = tiny_run(tmp_path, [lora.bind("lora")], family=NARROW)
    batch = run.collate(random_rows(2))
    with torch.no_grad():
        before = run.forward(run.model, batch).logits
        unsloth.bind("unsloth").ft_patch_trained(run, run.model)
        after = run.forward(run.model, batch).logits
    assert after.equal(before)
    assert [layer.fused for layer, _ in gated_layers(run.model)] == [1, 1]
    assert "2 feed-forward layers are fused" in run.progress.lines[-1]
    for name in [name for name in sys.modules if name.partition(".")[0] == "unsloth"]:
        monkeypatch.delitem(sys.modules, name)
