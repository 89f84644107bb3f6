import importlib.metadata
from types import SimpleNamespace

import numpy as np
import pytest

from ft.api import InputError, Progress
from ft_source_local import source
from ft_source_local.gguf import cache_folder

RUN = SimpleNamespace(progress=Progress())


def resolve(path, what="model"):
    return source.ft_resolve_source(RUN, str(path), what)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "cache"))


def write_gguf(path):
    """A Llama of one layer with every kind of field that transformers reads."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(16)
    letters = [chr(code) for code in range(ord("!"), ord("~"))]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ", *letters, "he"]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["h e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{{ messages }}")
    numbers = np.random.default_rng(0)

    def add(name, *shape, quantized=False):
        values = numbers.standard_normal(shape, dtype=np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        if quantized:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)

    add("token_embd.weight", len(tokens), 32, quantized=True)
    add("output_norm.weight", 32)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", 32, 32, quantized=True)
    for name in ("ffn_gate", "ffn_up"):
        add(f"blk.0.{name}.weight", 64, 32, quantized=True)
    add("blk.0.ffn_down.weight", 32, 64, quantized=True)
    add("blk.0.attn_norm.weight", 32)
    add("blk.0.ffn_norm.weight", 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_typo_is_answered_with_what_is_there(tmp_path):
    (tmp_path / "data.json").write_text("[]")
    with pytest.raises(InputError, match="no such file") as caught:
        resolve(tmp_path / "dta.json", "data")
    assert "data.json" in caught.value.hint


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match="neither"):
        resolve(tmp_path)


def test_several_models(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.gguf").touch()
    with pytest.raises(InputError, match=r"a\.gguf, b\.gguf"):
        resolve(tmp_path)


def test_a_gguf_file_is_converted_once_and_exactly(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = write_gguf(tmp_path / "m.gguf")
    folder = resolve(file)
    assert folder.parent == cache_folder() / "gguf"
    assert list(folder.parent.iterdir()) == [folder]
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve(tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp

    ours = AutoModelForCausalLM.from_pretrained(folder)
    direct = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf")
    assert ours.dtype == torch.float32
    ids = torch.arange(5, 15)[None]
    torch.testing.assert_close(ours(ids).logits, direct(ids).logits, rtol=0, atol=0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == "{{ messages }}"
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer("the hen")["input_ids"]) == "the hen"


def test_a_broken_gguf_file_is_an_input_error_and_leaves_nothing(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InputError, match="cannot be read"):
        resolve(tmp_path / "m.gguf")
    assert not any((cache_folder() / "gguf").iterdir())


def test_it_claims_its_scheme():
    entries = importlib.metadata.entry_points(group="ft.match.scheme", name="file")
    assert {entry.value for entry in entries} == {"ft_source_local:source"}
