"""The life of a run through the command line, from ``ft init`` to the exported model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest


def logits(model, tokenizer, text="Who are you? I am a small model."):
    import torch

    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        return model.eval()(ids).logits


def load(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def base_and_adapter(base, adapter):
    from peft import PeftModel

    model, tokenizer = load(base)
    return PeftModel.from_pretrained(model, adapter), tokenizer


def assert_same_logits(one, other):
    import torch

    torch.testing.assert_close(logits(*one), logits(*other), rtol=1e-4, atol=1e-4)


def test_from_init_to_export(ft, work, checkpoint, chat_rows):
    model = checkpoint("llama")
    done = ft("init", "--model", model, "--data", chat_rows, "--output", "mine.yaml")
    assert done.code == 0
    assert "ft check mine.yaml" in done.out
    assert ft("init", "--output", "mine.yaml").code == 2  # overwrites nothing

    done = ft("check", "mine.yaml")
    assert done.code == 0, done.err
    assert "fits: ft train mine.yaml" in done.out
    found = ft("check", "mine.yaml", "--json").json
    assert found["fits"] is True
    assert found["settings"]["data.0.format"] == {
        "value": "messages",
        "origin": "inferred from the columns messages",
    }

    done = ft("explain", "mine.yaml", "adapter.rank", "adapter.rank=4")
    assert "adapter.rank: 4" in done.out
    assert "set by the command line" in done.out

    done = ft("data", "show", "mine.yaml", "--row", "2", "--json")
    assert done.code == 0, done.err
    trained = "".join(token["token"] for token in done.json if token["trained"])
    assert trained.endswith("<|eot_id|>")
    assert not (work / "runs").exists()

    changes = ["adapter.rank=4", "trainer.epochs=10", "optimizer.learning_rate=1e-2"]
    changes.append("trainer.max_length=512")  # the positions that this model has
    done = ft("train", "mine.yaml", *changes, "output=run")
    assert done.code == 0, done.err
    assert "10/10  loss" in done.err
    assert "next    ft chat run  |  ft export run" in done.out
    assert [line for line in done.err.splitlines() if len(line) > 80] == []

    done = ft("chat", "run", "-p", "Who are you?", "-p", "Do you sleep?", "--json")
    assert done.code == 0, done.err
    assert [answer["prompt"] for answer in done.json] == ["Who are you?", "Do you sleep?"]
    assert all(answer["role"] == "assistant" and answer["tokens"] for answer in done.json)
    spoken = ft("chat", "run", "-p", "Who are you?", "--max-new-tokens", "4")
    before = ft("chat", "run", "-p", "Who are you?", "--max-new-tokens", "4", "--base")
    assert spoken.code == before.code == 0
    assert spoken.out != before.out

    done = ft("export", "run", "shard_size=100KB")
    assert done.code == 0, done.err
    assert "exported to run/merged" in done.out
    assert len(list(Path("run/merged").glob("*.safetensors"))) > 1
    assert_same_logits(load("run/merged"), base_and_adapter(model, "run/result"))
    again = ft("export", "run")
    assert again.code == 2
    assert "already exists" in again.err


@pytest.fixture(scope="module")
def finished(tmp_path_factory, checkpoint):
    """A finished run of six steps with its recipe, data and checkpoint beside it."""
    from ft.cli import main

    folder = tmp_path_factory.mktemp("finished")
    rows = [
        {"instruction": f"What is {n} and {n}?", "output": f"It is {2 * n}."} for n in range(12)
    ]
    (folder / "sums.json").write_text(json.dumps(rows))
    (folder / "recipe.yaml").write_text(
        f"# the seed is mine\nmodel: {checkpoint('qwen3')}\ndata: sums.json\neval_split: 4\n"
        "eval_data: [{path: sums.json, name: all, rows: 6}]\nseed: 7\n"
        "adapter: {name: lora, rank: 4}\noptimizer: {name: adamw, learning_rate: 1e-2}\n"
        "trackers: [jsonl, tensorboard]\n"
        "trainer: {name: sft, steps: 6, batch_size: 4, save_every: 2, precision: float32}\n"
        f"output: {folder / 'run'}\n"
    )
    assert main(["train", str(folder / "recipe.yaml")]) == 0
    return folder


def test_rows_to_measure_on_are_counted(finished, capsys):
    from ft.cli import main

    shorter = ["trainer.max_length=28", "trainer.over_length=truncate"]
    assert main(["data", "prepare", str(finished / "recipe.yaml"), *shorter]) == 0
    told = capsys.readouterr()
    assert "all, to measure on: 6 rows" in told.err
    assert "6 cut to the longest length" in told.err
    report = (finished / "run" / "report.md").read_text()
    for name, rows in (("all", 6), ("eval", 4)):
        block = report.split(f"| rows of {name}, to measure on |")[1].split("\n\n")[0]
        assert f"| kept | {rows} |" in block


def test_run_folder_holds_everything(finished, checkpoint):
    run = finished / "run"
    assert {path.name for path in run.iterdir()} == {
        "recipe.yaml",
        "resolved.yaml",
        "ft.lock",
        "metrics.jsonl",
        "tensorboard",
        "loss.png",
        "report.md",
        "checkpoints",
        "result",
    }
    assert (run / "recipe.yaml").read_bytes() == (finished / "recipe.yaml").read_bytes()
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == [
        "step-000004",
        "step-000006",
    ]
    names = {path.name for path in (run / "result").iterdir()}
    assert {"adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names


def test_lock_names_all_that_went_in(finished, checkpoint):
    lock = json.loads((finished / "run/ft.lock").read_text())
    plugins = {entry["plugin"]: entry for entry in lock["plugins"]}
    wanted = ("model:qwen3", "dataset:alpaca", "template:qwen3", "adapter:lora", "optimizer:adamw")
    assert {*wanted, "trainer:sft", "tracker:jsonl", "tracker:tensorboard"} <= plugins.keys()
    for entry in plugins.values():
        assert entry["version"]
        assert len(entry["record"]) == 64
    weights = checkpoint("qwen3") / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert lock["model"]["files"]["model.safetensors"] == digest
    data = hashlib.sha256((finished / "sums.json").read_bytes()).hexdigest()
    assert list(lock["data"].values()) == list(lock["eval_data"]["all"].values()) == [data]
    assert len(lock["template"]) == 64
    assert lock["seed"] == 7
    assert lock["hardware"]["device"] == "cpu"
    assert lock["packages"]["torch"]


def test_metrics_have_steps_and_evaluations(finished, metrics):
    lines = metrics(finished / "run")
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    wanted = {"learning_rate", "grad_norm", "tokens_per_second", "memory", "seconds", "epoch"}
    assert all(wanted <= line.keys() for line in steps)
    # 8 rows in batches of 4: an epoch is 2 steps
    measured = [line for line in lines if "eval/loss" in line]
    assert [line["step"] for line in measured] == [2, 4, 6]
    assert all("all/loss" in line for line in measured)
    assert measured[-1]["all/loss"] < measured[0]["all/loss"]


def test_picture_and_report(finished):
    from PIL import Image

    with Image.open(finished / "run/loss.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert 400 <= picture.width <= 2000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10  # lines are drawn
    report = (finished / "run/report.md").read_text()
    for part in (
        "| steps | 6",
        "![loss](loss.png)",
        "eval/loss",
        "lora ft-adapter-lora",
        "result/",
    ):
        assert part in report
    assert "{" not in report
    assert "| kept | 8 |" in report


def test_events_of_tensorboard_can_be_read(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "run/tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("eval/all/loss")] == [2, 4, 6]


def test_resolved_recipe_runs_again(ft, finished, metrics):
    done = ft("train", finished / "run/resolved.yaml", "output=again")
    assert done.code == 0, done.err
    first = [line["loss"] for line in metrics(finished / "run") if "loss" in line]
    assert [line["loss"] for line in metrics(Path("again")) if "loss" in line] == first
    name = "result/adapter_model.safetensors"
    assert Path("again", name).read_bytes() == (finished / "run" / name).read_bytes()


def test_an_adapter_is_trained_on(ft, finished, metrics):
    rows = finished / "run/recipe.yaml"
    go_on = f"adapter.continue_from={finished / 'run/result'}"
    changes = [f"data={finished / 'sums.json'}", "eval_data=null", "output=more"]
    done = ft("train", rows, go_on, *changes)
    assert done.code == 0, done.err
    first, more = metrics(finished / "run"), metrics(Path("more"))
    assert more[0]["loss"] < first[0]["loss"] / 1.5


def test_overrides_beat_the_recipe(ft, recipe, checkpoint, chat_rows, metrics):
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))
    done = ft("train", path, "trainer.steps=2", "data.0.rows=3", "adapter=full", "output=other")
    assert done.code == 0, done.err
    assert "3 rows" in done.err
    assert len(metrics(Path("other"))) == 2
    assert Path("other/result/model.safetensors").is_file()
    resolved = Path("other/resolved.yaml").read_text()
    assert "name: full" in resolved
    assert "rank" not in resolved


def test_dpo_widens_the_margin(ft, recipe, checkpoint, write_rows, facts, metrics):
    rows = [
        {"prompt": question, "chosen": answer, "rejected": "I do not know."}
        for question, answer in facts
    ]
    path = recipe(
        model=checkpoint("llama"),
        data=str(write_rows(rows)),
        trainer={"name": "dpo", "steps": 10, "batch_size": 8, "precision": "float32"},
        optimizer={"learning_rate": 5e-3},
    )
    done = ft("train", path)
    assert done.code == 0, done.err
    lines = metrics(Path("run"))
    assert lines[0]["margin"] == 0
    assert lines[0]["loss"] == pytest.approx(0.6931, abs=1e-4)
    assert lines[-1]["margin"] > 1
    assert lines[-1]["accuracy"] == 1


def test_pretraining_packs_plain_text(ft, recipe, checkpoint, work, metrics):
    (work / "book.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 40)
    path = recipe(
        model=checkpoint("llama"),
        data="book.txt",
        adapter={"name": "full"},
        trainer={
            "name": "pretrain",
            "packing": True,
            "max_length": 128,
            "steps": 8,
            "batch_size": 2,
            "precision": "float32",
        },
        optimizer={"learning_rate": 5e-3},
    )
    done = ft("train", path)
    assert done.code == 0, done.err
    lines = metrics(Path("run"))
    assert lines[-1]["loss"] < lines[0]["loss"] / 2
    # two steps of two packs are an epoch: of at most 128 tokens, of rows that are far shorter
    assert lines[1]["epoch"] == 1
    assert 3 * 128 < lines[1]["tokens"] <= 4 * 128
    assert f"40 rows, {lines[1]['tokens']} tokens" in done.err  # what fills packs up is not counted
    assert ft("data", "show", path, "--json").code == 0


def test_lora_on_four_bits_merges_into_full_precision(ft, recipe, checkpoint, chat_rows, metrics):
    model = checkpoint("llama")
    path = recipe(
        model=model,
        data=str(chat_rows),
        quantizer={"name": "bitsandbytes", "bits": 4},
        optimizer={"learning_rate": 1e-2},
        trainer={"steps": 16},
    )
    done = ft("train", path)
    assert done.code == 0, done.err
    lines = metrics(Path("run"))
    assert lines[-1]["loss"] < lines[0]["loss"] / 2
    assert ft("chat", "run", "-p", "Who are you?", "--max-new-tokens", "4").code == 0
    done = ft("export", "run")
    assert done.code == 0, done.err
    assert "quantization_config" not in json.loads(Path("run/merged/config.json").read_text())
    assert_same_logits(load("run/merged"), base_and_adapter(model, "run/result"))


@pytest.mark.parametrize("adapter", ["full", "freeze"])
def test_a_whole_model_is_exported_as_it_is(ft, recipe, checkpoint, chat_rows, adapter):
    path = recipe(
        model=checkpoint("gpt2"), template="chatml", data=str(chat_rows), adapter={"name": adapter}
    )
    done = ft("train", path, "trainer.steps=2")
    assert done.code == 0, done.err
    assert ft("export", "run", "--output", "out").code == 0
    assert_same_logits(load("out"), load("run/result"))
    assert not Path("run/merged").exists()
