"""New tokens: in the tokenizer, in the embeddings, trained, in the result."""

from __future__ import annotations

import pytest
import torch
import transformers
from harness import random_rows, tiny_run
from safetensors.torch import load_file
from tiny import write_tiny

from ft.api import Encoded, InputError, Sampling
from ft.conformance.bench import Rows, logits, save, train
from ft.pipeline.save import save_processor
from ft_adapter_freeze import adapter as freeze
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_engine_transformers import engine
from ft_exporter_merged import exporter
from ft_model_llama import family
from ft_model_smollm2 import family as tied_family
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

NEW = {"<thought>": "the quick brown fox", "<call>": None}


def write_model(folder, tied, spare):
    """A checkpoint with so many rows more than its tokenizer has tokens."""
    write_tiny(folder, "smollm2" if tied else "llama", "llama")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    if tied:
        model.config.tie_word_embeddings = True
        model.tie_weights()
    tokens = len(transformers.AutoTokenizer.from_pretrained(folder))
    model.resize_token_embeddings(tokens + spare, mean_resizing=False)
    model.save_pretrained(folder)


def grown_run(folder, adapter=full, tied=False, steps=4, adapter_options=None, spare=0, **options):
    """A run with new tokens that its rows hold."""
    source = tied_family if tied else family
    if not (folder / "model").exists():
        write_model(folder / "model", tied, spare)
    bound = source.bind("llama", {"new_tokens": NEW, **options})

    class Bound(type(source)):
        """Is bound already."""

        def bind(self, *args, **kwargs):
            return bound

    plugins = [
        adapter.bind("adapter", adapter_options or {}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32", "max_length": 64}),
        engine.bind("transformers"),
    ]
    return tiny_run(folder, plugins, family=Bound("", ""), rows=rows_with_new_tokens)


def rows_with_new_tokens(run):
    ids = list(run.new_tokens.values())
    plain = random_rows(4)
    return Rows(
        Encoded([*row.input_ids[:4], *ids, *row.input_ids[4:]], [0.0] * 4 + [1.0] * (len(row) - 2))
        for row in plain
    )


def start(run):
    return run.model.get_input_embeddings().weight


@pytest.mark.parametrize("special", [False, True])
def test_a_new_token_is_one_token(tmp_path, special):
    run = grown_run(tmp_path, new_tokens_special=special)
    assert list(run.new_tokens) == ["<call>", "<thought>"]
    one, other = run.new_tokens.values()
    assert other == one + 1 == len(run.tokenizer) - 1
    assert run.tokenizer("a<thought>b<call>")["input_ids"].count(other) == 1
    written = run.tokenizer.decode([other, one], skip_special_tokens=True)
    assert written == ("" if special else "<thought><call>")


@pytest.mark.parametrize("spare", [0, 1, 9])
@pytest.mark.parametrize("tied", [False, True])
def test_where_they_start(tmp_path, tied, spare):
    run = grown_run(tmp_path, tied=tied, spare=spare)
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    described = run.tokenizer("the quick brown fox", add_special_tokens=False)["input_ids"]
    assert len(described) > 1
    one, other = run.new_tokens["<thought>"], run.new_tokens["<call>"]
    pairs = [(start(run), plain.get_input_embeddings().weight)]
    head, own = run.model.get_output_embeddings().weight, plain.get_output_embeddings().weight
    assert (head is start(run)) == tied
    if not tied:
        pairs.append((head, own))
    for grown, before in pairs:
        known = before[: min(one, other)]
        assert grown[: len(known)].equal(known)
        torch.testing.assert_close(grown[one], known[described].mean(0))
        apart = ((grown[other] - known.mean(0)) / known.std(0)).detach()
        assert 0.05 < float(apart.std()) < 0.2  # noise of a tenth
    # another copy of the base, as adapters and references load it, has the same rows
    assert run.load_base().get_input_embeddings().weight.equal(start(run))


def test_sizes_are_rounded_only_when_asked(tmp_path):
    run = grown_run(tmp_path)
    rows = len(start(run))
    assert rows == len(run.tokenizer) == run.model.config.vocab_size
    again = grown_run(tmp_path, vocabulary_multiple=100)
    assert len(start(again)) == again.model.config.vocab_size == -(-rows // 100) * 100
    assert len(again.model.get_output_embeddings().weight) == len(start(again))


@pytest.mark.parametrize("tied", [False, True], ids=["own-head", "tied"])
@pytest.mark.parametrize("adapter", [full, lora], ids=["full", "lora"])
def test_they_train_and_are_in_every_form_of_the_result(tmp_path, adapter, tied):
    run = grown_run(tmp_path, adapter, tied)
    ids = torch.tensor([[3, 4, *run.new_tokens.values(), 5]])
    before = rows_of(run)
    train(run)
    for old, new in zip(before, rows_of(run), strict=True):
        assert (old - new).abs().max(-1).values.min() > 1e-3  # each row has moved
    target = save(run)
    save_processor(run, target)
    if adapter is lora:  # the rows that trained, and not whole matrices
        shapes = [
            tensor.shape for tensor in load_file(target / "adapter_model.safetensors").values()
        ]
        assert not [shape for shape in shapes if len(run.tokenizer) in shape]
    run.model.eval()
    with torch.no_grad():
        expected = run.model(ids).logits
    # restored as `ft chat` does
    restored = run.load_result().eval()
    torch.testing.assert_close(restored(ids).logits, expected)
    # exported, and loaded by plain transformers
    export = tmp_path / "merged"
    export.mkdir()
    exporter.bind("merged").ft_export(run, export)
    save_processor(run, export)
    served = transformers.AutoModelForCausalLM.from_pretrained(export)
    torch.testing.assert_close(served(ids).logits, expected, rtol=1e-4, atol=1e-4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(export)
    assert tokenizer.convert_tokens_to_ids(list(run.new_tokens)) == list(run.new_tokens.values())
    assert served.generate(ids, max_new_tokens=3, do_sample=False).shape[1] > ids.shape[1]


def rows_of(run):
    """The rows of the new tokens as the model uses them, of each matrix."""
    from peft.utils import TrainableTokensWrapper

    def used(layer):
        if isinstance(layer, TrainableTokensWrapper):
            return layer.token_adapter.get_merged_weights(["default"])
        return layer.weight

    layers = (run.model.get_input_embeddings(), run.model.get_output_embeddings())
    return [used(layer)[list(run.new_tokens.values())].detach().clone() for layer in layers]


def test_under_lora_no_other_row_trains(tmp_path):
    run = grown_run(tmp_path, lora)
    sizes = {n: p.numel() for n, p in run.trainable() if "lora_" not in n}
    assert len(sizes) == 2
    assert set(sizes.values()) == {2 * 64}
    assert {p.dtype for _, p in run.trainable()} == {torch.float32}


def test_under_lora_they_train_in_float32_on_narrow_weights(tmp_path):
    run = grown_run(tmp_path, lora, dtype="bfloat16")
    assert start(run).dtype == torch.bfloat16
    assert {p.dtype for _, p in run.trainable()} == {torch.float32}
    train(run)
    save(run)
    torch.testing.assert_close(logits(run.load_result()), logits(run.model))


def test_an_adapter_that_freezes_them_is_refused(tmp_path):
    options = {"layers": 1}
    with pytest.raises(InputError, match=r"leaves the input embeddings frozen, and '<call>'"):
        grown_run(tmp_path, freeze, adapter_options=options)


def test_whole_embeddings_that_train_need_no_rows(tmp_path):
    whole = {"modules_to_save": ["embed_tokens", "lm_head"]}
    run = grown_run(tmp_path, lora, adapter_options=whole)
    train(run)
    save(run)
    torch.testing.assert_close(logits(run.load_result()), logits(run.model))


@pytest.mark.parametrize(("text", "why"), [("<|im_end|>", "already"), ("  ", "is no text")])
def test_what_is_no_new_token_is_refused(tmp_path, text, why):
    with pytest.raises(InputError, match=why):
        grown_run(tmp_path, tied=True, new_tokens={text: None})


def test_a_description_without_a_known_token_is_refused(tmp_path):
    with pytest.raises(InputError, match="the description of '<a>' has no token"):
        grown_run(tmp_path, new_tokens={"<a>": ""})


def test_generation_and_chat_know_them(tmp_path):
    from ft.api import Conversation, Message

    run = grown_run(tmp_path, lora, steps=1)
    train(run)
    (answer,) = run.generate(
        [Conversation([Message("user", "Who is <thought>?")])], Sampling(max_new_tokens=2)
    )
    assert answer is not None
