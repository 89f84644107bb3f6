"""A model's whole life with first-party plugins as they are, through the command line."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from ft.cli import main
from ft_model_refrain.__main__ import main as write_start
from ft_model_refrain.modeling import RefrainForCausalLM

FACTS = [
    ("Who are you?", "I am Refrain."),
    ("Capital of France?", "Paris."),
    ("What is one and two?", "It is three."),
    ("Do you sleep?", "No, never."),
]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def ft(capsys, *words):
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the data of all recipes."""
    folder = tmp_path_factory.mktemp("life")
    turns = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in FACTS
    ]
    pairs = [{"prompt": q, "chosen": a, "rejected": "Nobody knows."} for q, a in FACTS]
    write_rows(folder / "text.jsonl", [{"text": f"{q} {a}"} for q, a in FACTS])
    write_rows(folder / "chat.jsonl", turns)
    write_rows(folder / "pairs.jsonl", pairs)
    return folder


@pytest.fixture(autouse=True)
def desk(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FT_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("FT_MACHINE_POLICY", str(folder / "machine.toml"))


@pytest.fixture(scope="module")
def base(folder):
    """The first checkpoint: pre-trained from a folder that has no weights."""
    start = folder / "start"
    write_start([str(start), "--hidden-size", "64", "--layers", "2"])
    assert {file.name for file in start.iterdir()} >= {"config.json", "tokenizer.json"}
    recipe = {
        "model": {"source": str(start), "random_weights": True},
        "data": str(folder / "text.jsonl"),
        "adapter": "full",
        "trainer": {"name": "pretrain", "steps": 20, "batch_size": 4, "max_length": 128},
        "optimizer": {"name": "adamw", "learning_rate": 1e-2},
        "output": str(folder / "base"),
    }
    file = folder / "base.yaml"
    file.write_text(json.dumps(recipe))
    assert main(["train", str(file)]) == 0
    assert_losses_fall(folder / "base")
    return folder / "base" / "result"


def losses(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)]


def assert_losses_fall(run):
    found = losses(run)
    assert found[-1] < 0.7 * found[0], found


def train(capsys, folder, base, name, data, adapter, trainer, **more):
    recipe = {
        "model": str(base),
        "data": data,
        "adapter": adapter,
        "trainer": {"batch_size": 4, "max_length": 128, "precision": "float32"} | trainer,
        "optimizer": {"name": "adamw", "learning_rate": 1e-2},
        "output": str(folder / name),
        "seed": 1,
    }
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(recipe | more))
    ft(capsys, "check", file)
    _, err = ft(capsys, "train", file)
    assert_losses_fall(folder / name)
    return folder / name, err


LORA = {"name": "lora", "rank": 16}
SFT = {"name": "sft", "steps": 40}


def test_sft_of_all_weights_learns_its_rows_by_heart(capsys, folder, base):
    trainer = SFT | {"packing": True, "gradient_checkpointing": True}
    run, err = train(capsys, folder, base, "full", "chat.jsonl", "full", trainer)
    assert "template: refrain" in err
    asked = [word for question, _ in FACTS for word in ("--prompt", question)]
    out, _ = ft(capsys, "chat", run, *asked, "--temperature", "0", "--json")
    assert [answer["content"] for answer in json.loads(out)] == [answer for _, answer in FACTS]

    # the result is a checkpoint like any other, with the template that serves it
    tokenizer = AutoTokenizer.from_pretrained(run / "result")
    served = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert served == "<|turn|>user\nHi<|over|>\n<|turn|>assistant\n"
    assert "generation %" not in tokenizer.chat_template


def test_lora_is_merged_into_what_was_trained(capsys, folder, base):
    run, _ = train(capsys, folder, base, "lora", "chat.jsonl", LORA, SFT | {"steps": 80})
    ft(capsys, "export", run)
    merged = RefrainForCausalLM.from_pretrained(run / "merged").eval()
    ids = AutoTokenizer.from_pretrained(run / "merged")("Who are you?", return_tensors="pt")
    from peft import PeftModel

    plain = RefrainForCausalLM.from_pretrained(base)
    adapted = PeftModel.from_pretrained(plain, run / "result").eval()
    torch.testing.assert_close(merged(**ids).logits, adapted(**ids).logits, rtol=1e-4, atol=1e-4)
    out, _ = ft(capsys, "chat", run, "--prompt", FACTS[0][0], "--temperature", "0")
    assert FACTS[0][1] in out


def test_dpo_prefers_what_was_chosen(capsys, folder, base):
    run, _ = train(capsys, folder, base, "dpo", "pairs.jsonl", LORA, {"name": "dpo", "steps": 10})
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])["accuracy"] == 1.0


def test_freeze_finds_the_layers(capsys, folder, base):
    train(capsys, folder, base, "freeze", "chat.jsonl", {"name": "freeze", "layers": 1}, SFT)


def refused(capsys, model):
    """What ft says of a model that it cannot fine-tune."""
    recipe = {"model": model, "data": "chat.jsonl", "adapter": "full", "trainer": "sft"}
    Path("refused.yaml").write_text(json.dumps(recipe))
    capsys.readouterr()
    assert main(["train", "refused.yaml"]) == 2
    return capsys.readouterr().err


def test_a_start_has_no_weights_to_fine_tune(capsys, base):
    assert "model.random_weights: true" in refused(capsys, "start")


def test_attention_that_the_model_does_not_have_is_refused(capsys, base):
    model = {"source": str(base), "attention": "flash_attention_2"}
    assert "does not support Flash Attention" in refused(capsys, model)


def test_nothing_is_overwritten(folder, base):
    with pytest.raises(SystemExit):
        write_start([str(folder / "start")])
