"""Rotary positions are scaled as transformers scales them, and stay so in the result."""

from __future__ import annotations

import pytest
import torch
import transformers
from harness import random_rows, tiny_run, write_random_model

from ft.api import TINY, InputError, ModelFamily
from ft.conformance.bench import logits, save, train
from ft.pipeline.positions import scale_positions
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_model_gemma3 import family as gemma3
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

LLAMA = ModelFamily("Llama", "Meta", ("llama",), accepts=("packing",))
POSITIONS = TINY["max_position_embeddings"]


def scaled_run(folder, adapter=full, family=LLAMA, model_type="llama", **options):
    """A run of a tiny model with options of its family."""
    if not (folder / "model").exists():
        write_random_model(folder / "model", family, model_type)
    bound = family.bind(model_type, options)
    parts = [
        adapter.bind("adapter"),
        adamw.bind("adamw", {"learning_rate": 1e-3}),
        sft.bind("sft", {"steps": 2, "precision": "float32", "max_length": 64}),
    ]

    class Fixed(ModelFamily):
        """Is bound already."""

        def bind(self, *args, **kwargs):
            return bound

    return tiny_run(folder, parts, family=Fixed("", ""), model_type=model_type, rows=random_rows(4))


def frequencies(model):
    found = dict(model.named_buffers())
    return {n: b for n, b in found.items() if n.endswith("inv_freq") and "original" not in n}


@pytest.mark.parametrize("method", ["linear", "dynamic", "yarn", "llama3"])
def test_frequencies_are_those_that_transformers_computes(tmp_path, method):
    run = scaled_run(tmp_path, position_scaling=method, position_factor=4.0)
    extra = {
        "yarn": {"original_max_position_embeddings": POSITIONS},
        "llama3": {
            "original_max_position_embeddings": POSITIONS,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        },
    }.get(method, {})
    wanted = transformers.LlamaConfig(
        **{**TINY, "max_position_embeddings": POSITIONS * (1 if method == "dynamic" else 4)},
        rope_parameters={"rope_type": method, "factor": 4.0, "rope_theta": 10000.0, **extra},
    )
    expected = transformers.LlamaForCausalLM(wanted)
    assert run.model.config.max_position_embeddings == wanted.max_position_embeddings
    (found,) = frequencies(run.model).values()
    assert found.equal(*frequencies(expected).values())
    assert run.model.model.rotary_emb.attention_scaling == (
        expected.model.rotary_emb.attention_scaling
    )
    plain = frequencies(transformers.LlamaForCausalLM(transformers.LlamaConfig(**TINY)))
    # the dynamic ones differ in long sequences only
    assert found.equal(*plain.values()) == (method == "dynamic")
    ids = torch.arange(3 * POSITIONS)[None] % 250
    with torch.no_grad():
        expected.load_state_dict(run.model.state_dict())
        torch.testing.assert_close(run.model(ids).logits, expected(ids).logits)
        if method == "dynamic":
            (found,) = frequencies(run.model).values()
            assert not found.equal(*plain.values())


def test_layers_that_see_a_window_keep_their_positions(tmp_path):
    run = scaled_run(
        tmp_path,
        family=gemma3,
        model_type="gemma3_text",
        position_scaling="linear",
        position_factor=8.0,
    )
    found = run.model.config.rope_parameters
    assert found["full_attention"]["factor"] == 8.0
    assert found["sliding_attention"]["rope_type"] == "default"
    config = gemma3.tiny_config("gemma3_text")
    plain = frequencies(transformers.Gemma3ForCausalLM(config))
    for name, buffer in frequencies(run.model).items():
        factor = 8 if "full_attention" in name else 1
        torch.testing.assert_close(buffer * factor, plain[name])
    assert run.model.config.max_position_embeddings == 8 * config.max_position_embeddings


@pytest.mark.parametrize("adapter", [full, lora], ids=["full", "lora"])
def test_the_result_has_them_once(tmp_path, adapter):
    run = scaled_run(tmp_path, adapter, position_scaling="yarn", position_factor=2.0)
    train(run)
    save(run)
    restored = run.load_result()
    assert restored.config.max_position_embeddings == 2 * POSITIONS
    assert restored.config.rope_parameters["factor"] == 2.0
    assert logits(restored).equal(logits(run.model))
    if adapter is full:
        served = transformers.AutoModelForCausalLM.from_pretrained(run.folder / "result")
        torch.testing.assert_close(logits(served), logits(run.model))


def test_a_model_that_has_none_is_refused():
    with pytest.raises(InputError, match="no rotary positions"):
        scale_positions(transformers.GPT2Config(), "linear", 2.0)


def test_positions_that_are_scaled_already_are_refused():
    config = transformers.LlamaConfig(
        rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    )
    with pytest.raises(InputError, match=r"scaled already \(linear, factor 2\), for 2048"):
        scale_positions(config, "yarn", 2.0)


def test_rows_longer_than_the_positions_are_warned_of(tmp_path):
    def told(**options):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        write_random_model(folder / "model", LLAMA, "llama")
        family = ModelFamily("Llama", "Meta", ("llama",))
        family.bind = lambda *a, **k: ModelFamily.bind(family, "llama", options)
        trainer = sft.bind("sft", {"max_length": 2 * POSITIONS})
        return tiny_run(folder, [full.bind("full"), trainer], family=family).progress.lines

    (line,) = told()
    assert f"max_length is {2 * POSITIONS}, and the model has {POSITIONS} positions" in line
    assert "model.position_scaling" in line
    for method in ("linear", "dynamic"):
        assert told(position_scaling=method) == []
    (line,) = told(position_scaling="dynamic", position_factor=1.5)
    assert "model.position_scaling" not in line
