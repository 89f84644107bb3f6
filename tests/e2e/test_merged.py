"""Adapters that are trained on top of merged adapters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

STEPS = ("trainer.steps=6", "optimizer.learning_rate=1e-2")


@pytest.fixture
def trained(ft, recipe, checkpoint, chat_rows):
    """``trained("b", "model.merged=[a]")`` trains a run of that name."""
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))

    def train(name, *overrides):
        done = ft("train", path, *STEPS, f"output={name}", *overrides)
        assert done.code == 0, done.err
        return done

    train.recipe = path
    return train


def update(folder, base):
    """What an adapter adds to one layer of its base, and the layer."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    layer = model.base_model.model.model.layers[1].mlp.down_proj
    return layer.get_delta_weight("default"), layer.weight


def test_it_stands_on_what_was_merged(ft, trained, checkpoint, work):
    import torch
    from transformers import AutoModelForCausalLM

    trained("a")
    trained("b", "seed=5")
    done = trained("c", "model.merged=[a, b]", "seed=7", "trainer.save_every=3")
    assert "merged and unmerged differ by at most" in done.err
    base = checkpoint("llama")
    parts = [update(Path(name, "result"), base) for name in ("a", "b", "c")]
    wanted = parts[0][1] + sum(delta for delta, _ in parts)

    shutil.rmtree("a")  # it has copies of its own
    shutil.rmtree(work.parent / "cache" / "merged")
    done = ft("export", "c")
    assert done.code == 0, done.err
    model = AutoModelForCausalLM.from_pretrained("c/merged")
    found = model.model.layers[1].mlp.down_proj.weight
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert ft("chat", "c", "-p", "Who are you?", "--max-new-tokens", "4").code == 0

    before = Path("c/result/adapter_model.safetensors").read_bytes()
    shutil.move("c", "moved")
    shutil.rmtree("moved/result")
    done = ft("resume", "moved", "--step", "3")
    assert done.code == 0, done.err
    assert Path("moved/result/adapter_model.safetensors").read_bytes() == before

    # and on top of that, on a base in four bits
    trained("d", "model.merged=[moved]", "quantizer={name: bitsandbytes, bits: 4}")
    done = ft("export", "d")
    assert done.code == 0, done.err
    delta = update(Path("d/result"), base)[0]
    model = AutoModelForCausalLM.from_pretrained("d/merged")
    found = model.model.layers[1].mlp.down_proj.weight
    torch.testing.assert_close(found, wanted + delta, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_merged_is_refused(ft, trained, checkpoint):
    trained("a", "trainer.steps=1")
    trained("b", "trainer.steps=1", "model.merged=[a]")
    trained("whole", "trainer.steps=1", "adapter=full")
    trained("other", "trainer.steps=1", f"model={checkpoint('gpt2')}", "template=chatml")
    for merged, words in (
        ("[missing]", "no finished run lies in"),
        ("[whole]", "is a whole model: give"),
        ("[a, a]", "this adapter is merged already"),
        ("[b, a]", "this adapter is merged already"),
        ("[other]", "this run was trained on"),
    ):
        done = ft("train", trained.recipe, f"model.merged={merged}", "output=c")
        assert done.code == 2, done.err
        assert words in " ".join(done.err.split())
        assert not Path("c").exists()
    assert ft("check", trained.recipe, "model.merged=[missing]").code == 2


def test_adapters_are_combined_by_weight(ft, trained, checkpoint):
    import torch
    from transformers import AutoModelForCausalLM

    trained("a")
    trained("b", "seed=5", "adapter.rank=8")
    trained("c", "seed=6", "model.merged=[a]")
    base = checkpoint("llama")
    (one, weight), (two, _) = (update(Path(name, "result"), base) for name in ("a", "b"))

    def exported(*options):
        done = ft("export", "a", "others=[b]", "--output", f"out-{len(options)}", *options)
        assert done.code == 0, done.err
        assert "merged and unmerged differ by at most" in done.err
        model = AutoModelForCausalLM.from_pretrained(f"out-{len(options)}")
        return model.model.layers[1].mlp.down_proj.weight

    torch.testing.assert_close(exported(), weight + one + two, rtol=1e-4, atol=1e-5)
    found = exported("weights=[0.7, 0.3]")
    torch.testing.assert_close(found, weight + 0.7 * one + 0.3 * two, rtol=1e-4, atol=1e-5)
    pruned = exported("weights=[0.7, 0.3]", "method=dare_ties_svd", "density=0.5")
    assert not torch.allclose(found, pruned, rtol=1e-3, atol=1e-4)

    for options, words in (
        (["others=[b]", "method=ties"], "must have the same r value"),
        (["others=[b]", "method=sums"], "Invalid combination_type: sums"),
        (["others=[b]", "weights=[1]"], "1 weights, and 2 adapters"),
        (["others=[c]"], "do not stand on the same merged adapters"),
    ):
        done = ft("export", "a", *options)
        assert done.code == 2, done.err
        assert words in " ".join(done.err.split())
    assert not Path("a/merged").exists()
