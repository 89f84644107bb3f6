"""Wrong input: what is wrong, where, what to do; exit code 2, and nothing lost or overwritten."""

from __future__ import annotations

import io
import json
import shutil
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def refused(ft, work):
    """Run ``ft train`` and check that it refuses: exit code, words, and no run folder."""

    def check(path, *changes, says=(), code=2):
        before = snapshot(work)
        done = ft("train", path, *changes)
        assert done.code == code, done.err
        assert "error: " in done.err
        missing = [word for word in says if word not in done.err]
        assert not missing, f"{missing} not in:\n{done.err}"
        assert snapshot(work) == before
        return done

    return check


def snapshot(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


# -- the recipe ------------------------------------------------------------------------------


@dataclass
class Recipe:
    """A change to a good recipe, and what the error says."""

    keys: dict[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


RECIPES = {
    "misspelt key": Recipe({"adaptor": "lora"}, ("recipe.yaml:7", "adaptor", "adapter")),
    "misspelt option": Recipe({"adapter": {"rnak": 8}}, ("recipe.yaml:1", "rnak", "rank")),
    "wrong type": Recipe({"trainer": {"steps": "many"}}, ("recipe.yaml:2", "trainer.steps")),
    "out of range": Recipe({"adapter": {"rank": 0}}, ("recipe.yaml:1", "adapter.rank")),
    "unknown plugin": Recipe(
        {"adapter": {"name": "lroa"}},
        ("no adapter 'lroa'", "did you mean lora?", "ft plugins add ft-adapter-lroa --unlisted"),
    ),
    "unknown trainer": Recipe(
        {"trainer": {"name": "nash-md"}},
        ("no trainer 'nash-md'", "ft plugins add ft-trainer-nash-md --unlisted"),
    ),
    "misspelt override": Recipe(
        says=("adapter.rnak", "the command line", "rank"), changes=("adapter.rnak=8",)
    ),
    "misspelt part of an override": Recipe(
        says=("there is no adaptor", "did you mean adapter?"), changes=("adaptor.rank=8",)
    ),
    "no override": Recipe(says=("'fast' is no override",), changes=("fast",)),
    "missing model folder": Recipe({"model": "./nowhere"}, ("recipe.yaml:5", "nowhere")),
    "missing data file": Recipe({"data": "nothing.jsonl"}, ("nothing.jsonl",)),
    "no such device": Recipe({"device": "cuda:7"}, ("cuda", "device: auto")),
    "full on a quantized base": Recipe(
        {"adapter": {"name": "full"}, "quantizer": "bitsandbytes"},
        (
            "With quantizer:bitsandbytes the run has base weights in a quantized form "
            "(quantized-base), which adapter:full does not accept.",
            "what fits: adapter: ",
        ),
    ),
    "dpo on single answers": Recipe(
        {"trainer": {"name": "dpo"}}, ("trainer:dpo learns from Preference examples",)
    ),
    "every row too long": Recipe(
        {"trainer": {"max_length": 4}},
        ("no row is left", "8 dropped (longer than max_length)", "raise trainer.max_length"),
    ),
    "a layer that is not there": Recipe(
        {"adapter": {"target": ["q_porj"]}}, ("'q_porj' matches no layer", "q_proj")
    ),
    "evaluation rows without end": Recipe({"eval_split": 8}, ("takes 8 of 8 rows", "eval_split")),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(refused, recipe, checkpoint, chat_rows, name):
    case = RECIPES[name]
    keys = {"model": checkpoint("llama"), "data": str(chat_rows), **case.keys}
    refused(recipe(**keys), *case.changes, says=case.says)


def test_check_refuses_what_train_refuses(ft, recipe, checkpoint, chat_rows):
    keys = {"adapter": {"name": "full"}, "quantizer": "bitsandbytes"}
    path = recipe(model=checkpoint("llama"), data=str(chat_rows), **keys)
    done = ft("check", path)
    assert done.code == 2
    assert "adapter:full does not accept" in " ".join(done.out.split())
    assert "The nearest recipe that fits has" in done.out
    command = next(line for line in done.out.splitlines() if "Try it: ft " in line)
    # what it advises does fit
    assert ft(*command.partition("Try it: ft ")[2].split()).code == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: [", ("recipe.yaml",)),
        ("", ("recipe.yaml: the recipe is empty", "ft init")),
        ("model: a\nmodel: b\n", ("recipe.yaml:2", "model")),
        ("- 1\n", ("recipe.yaml",)),
        ("model: a\ndata: b.jsonl\n\ttrainer: sft\n", ("recipe.yaml:3",)),
    ],
)
def test_recipe_that_is_none(refused, work, text, says):
    (work / "recipe.yaml").write_text(text)
    refused("recipe.yaml", says=says)


def test_recipe_that_is_not_there(refused):
    refused("recipe.yml", says=("recipe.yml",))


# -- data ------------------------------------------------------------------------------------

GOOD = json.dumps(
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
)
FILES = {
    "empty": (b"", ("data.jsonl", "empty")),
    "cut off": (f"{GOOD}\n{GOOD[:30]}".encode(), ("data.jsonl row 2", "cut off")),
    "not UTF-8": (f"{GOOD}\n".encode() + b'{"messages": "\xff"}\n', ("data.jsonl", "UTF-8")),
    "missing field": (f'{GOOD}\n{{"text": "x"}}\n'.encode(), ("data.jsonl row 2", "messages")),
    "missing role": (
        f'{GOOD}\n{GOOD}\n{{"messages": [{{"content": "x"}}]}}\n'.encode(),
        ("data.jsonl row 3", "messages[0].role"),
    ),
    "unknown columns": (b'{"question": "x"}\n', ("question", "format:")),
}


@pytest.mark.parametrize("name", FILES)
def test_data_file(refused, recipe, checkpoint, work, name):
    content, says = FILES[name]
    (work / "data.jsonl").write_bytes(content)
    refused(recipe(model=checkpoint("llama"), data="data.jsonl"), says=says)


def test_bad_rows_are_skipped_counted_and_reported(ft, recipe, checkpoint, work):
    lines = [GOOD] * 5 + ['{"text": "x"}', '{"messages": []}']
    (work / "data.jsonl").write_text("\n".join(lines) + "\n")
    path = recipe(model=checkpoint("llama"), data={"path": "data.jsonl", "on_bad_row": "skip"})
    done = ft("train", path)
    assert done.code == 0, done.err
    assert "2 of 7 rows are bad and left out" in done.err
    assert "data.jsonl row 6: messages" in done.err
    assert "5 rows" in done.err
    assert "| bad | 2 |" in Path("run/report.md").read_text()


def test_row_that_is_not_there(ft, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))
    said = {"9": "there is no row 9: the training data has 8", "0": "0 is not in the range x>=1"}
    for row, message in said.items():
        done = ft("data", "show", path, "--row", row)
        assert done.code == 2
        assert message in done.err


def picture(width=32, height=32, mode="RGB"):
    from PIL import Image

    stream = io.BytesIO()
    Image.effect_noise((width, height), 50).convert(mode).save(stream, "PNG")
    return stream.getvalue()


def huge():
    from PIL import Image

    stream = io.BytesIO()
    Image.new("1", (13_400, 13_400)).save(stream, "PNG")  # 22 kB
    return stream.getvalue()


def sound(samples, rate=16_000):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 2, rate, samples, "NONE", ""))
        file.writeframes(bytes(2 * samples))
    return stream.getvalue()


MEDIA: dict[str, tuple[str, Any, Any, tuple[str, ...]]] = {
    "missing image": ("image", None, 1, ("no file 2.bin",)),
    "no image": ("image", lambda: b"no picture at all", 1, ("2.bin cannot be read",)),
    "image cut off": ("image", lambda: picture()[:-40], 1, ("2.bin cannot be read",)),
    "huge image": ("image", huge, 1, ("179560000 pixels", "scale the image down")),
    "image too thin": ("image", lambda: picture(1000, 2), 1, ("2.bin", "aspect ratio")),
    "image without a place": ("image", picture, 0, ("images: has 1 entries", "0 places")),
    "place without an image": ("image", picture, 2, ("images: has 1 entries", "2 places")),
    "video": ("video", lambda: b"no film", 1, ("part of type video", "does not take that")),
    "missing clip": ("audio", None, 1, ("no file 2.bin",)),
    "no clip": ("audio", lambda: b"no sound at all", 1, ("2.bin cannot be read",)),
    "clip cut off": ("audio", lambda: sound(900)[:1000], 1, ("cut off after 1000 of 1844 bytes",)),
    "empty clip": ("audio", lambda: sound(0), 1, ("2.bin is too short",)),
    "clip too long": ("audio", lambda: sound(20_000), 1, ("lasts 1.25 s", "hears 1 s")),
}
"""Kind of a medium, its content, how many places it has in the text, what the error says."""


@pytest.mark.parametrize("name", MEDIA)
def test_medium(refused, recipe, checkpoint, write_rows, conversation, work, name):
    kind, content, places, says = MEDIA[name]
    if content is not None:
        (work / "2.bin").write_bytes(content())
    bad = {**conversation(f"<{kind}>" * places + "?", "x"), f"{kind}s": ["2.bin"]}
    sees = ("qwen2-5-vl", "qwen2_5_vl")
    model = checkpoint(*(("qwen2-audio", "qwen2_audio") if kind == "audio" else sees))
    path = recipe(model=model, data=str(write_rows([conversation("Hi", "x"), bad])))
    refused(path, says=("rows.jsonl row 2", *says))


def test_a_clip_of_another_rate_is_resampled(ft, recipe, checkpoint, write_rows, work):
    row = {
        "messages": [
            {"role": "user", "content": "<audio>?"},
            {"role": "assistant", "content": "x"},
        ],
        "audios": ["clip.wav"],
    }
    tokens = []
    for rate in (16_000, 8_000):
        (work / "clip.wav").write_bytes(sound(rate // 2, rate))
        path = recipe(
            model=checkpoint("qwen2-audio", "qwen2_audio"), data=str(write_rows([row] * 2))
        )
        done = ft("data", "show", path, "--json")
        assert done.code == 0, done.err
        tokens.append([token["id"] for token in done.json])
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) > 50


TURNS = {
    "role": ({"role": "narrator", "content": "a"}, ("messages[0].role", "narrator")),
    "tool": ({"role": "tool", "content": "1"}, ("the result of a tool", "qwen2-audio")),
    "reasoning": (
        {"role": "assistant", "content": "a", "reasoning_content": "hm"},
        ("has reasoning", "qwen2-audio"),
    ),
    "picture": (
        {"role": "user", "content": [{"type": "image", "image": "1.png"}]},
        ("no place for a part of type image",),
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_turn_that_the_template_cannot_render(
    refused, recipe, checkpoint, write_rows, conversation, work, name
):
    turn, says = TURNS[name]
    (work / "1.png").write_bytes(picture())
    good = conversation("Hi", "x")
    bad = {"messages": [turn, *good["messages"]]}
    path = recipe(model=checkpoint("qwen2-audio", "qwen2_audio"), data=str(write_rows([good, bad])))
    refused(path, says=("rows.jsonl row 2", *says))


def test_images_for_a_model_that_reads_text(
    refused, recipe, checkpoint, write_rows, conversation, work
):
    from PIL import Image

    Image.new("RGB", (32, 32)).save(work / "1.png")
    content = [{"type": "image", "image": "1.png"}, {"type": "text", "text": "?"}]
    path = recipe(model=checkpoint("llama"), data=str(write_rows([conversation(content, "x")] * 8)))
    refused(path, says=("rows.jsonl row 1", "image"))


# -- models ----------------------------------------------------------------------------------


@pytest.fixture
def copy(checkpoint, work):
    def make(family="llama"):
        return Path(shutil.copytree(checkpoint(family), work / "model"))

    return make


def test_checkpoint_without_weights(refused, recipe, copy, chat_rows):
    (copy() / "model.safetensors").unlink()
    path = recipe(model="./model", data=str(chat_rows))
    refused(path, says=("work/model", "no weights", "random_weights"))


@pytest.mark.parametrize("size", [4, 10_000, 100_000])
def test_weights_that_are_cut_off(refused, recipe, copy, chat_rows, size):
    file = copy() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    path = recipe(model="./model", data=str(chat_rows))
    refused(path, says=("model", "damaged or cut off"))


def test_folder_that_is_no_checkpoint(refused, recipe, work, chat_rows):
    (work / "model").mkdir()
    refused(recipe(model="./model", data=str(chat_rows)), says=("model", "config.json"))


def test_damaged_config(refused, recipe, copy, chat_rows):
    (copy() / "config.json").write_text("{")
    refused(recipe(model="./model", data=str(chat_rows)), says=("config.json",))


def test_checkpoint_without_tokenizer(refused, recipe, copy, chat_rows):
    for file in copy().glob("tokenizer*"):
        file.unlink()
    refused(recipe(model="./model", data=str(chat_rows)), says=("no tokenizer", "model"))


def test_base_model_without_template(refused, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("gpt2"), data=str(chat_rows))
    refused(path, says=("no chat template", "template: "))


def test_adapter_of_another_model(ft, refused, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("llama"), data=str(chat_rows), output="first")
    assert ft("train", path).code == 0
    other = recipe(
        model=checkpoint("qwen3", "qwen3_moe"),
        data=str(chat_rows),
        adapter={"continue_from": "first/result"},
    )
    refused(other, says=("another base model", "first/result"))


def test_adapter_of_a_wider_model(ft, refused, recipe, checkpoint, chat_rows, work):
    from safetensors.torch import load_file, save_file

    path = recipe(model=checkpoint("llama"), data=str(chat_rows), output="first")
    assert ft("train", path).code == 0
    file = work / "first/result/adapter_model.safetensors"
    tensors = {name: t.repeat(1, 2) for name, t in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    other = recipe(
        model=checkpoint("llama"),
        data=str(chat_rows),
        adapter={"continue_from": "first/result"},
    )
    refused(other, says=("another base model", "adapter [4, 128], base [4, 64]"))


def test_packing_for_a_family_that_cannot(refused, recipe, checkpoint, chat_rows):
    path = recipe(
        model=checkpoint("qwen2-5-vl", "qwen2_5_vl"),
        data=str(chat_rows),
        trainer={"packing": True},
    )
    refused(path, says=("several documents in one sequence (packing)", "packing: false"))


# -- the run folder ----------------------------------------------------------------------------


def test_folder_that_holds_a_run(ft, refused, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))
    assert ft("train", path).code == 0
    refused(path, says=("run: this folder already holds a run", "ft resume run", "output=run-2"))


def test_folder_that_holds_something_else(refused, recipe, checkpoint, chat_rows, work):
    (work / "run").mkdir()
    (work / "run/thesis.txt").write_text("mine")
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))
    refused(path, says=("run: this output is not an empty folder", "output="))


@pytest.mark.parametrize("output", ["taken", "taken/run", "/proc/run"])
def test_output_that_cannot_be_made(refused, recipe, checkpoint, chat_rows, work, output):
    (work / "taken").write_text("a file")
    refused(recipe(model=checkpoint("llama"), data=str(chat_rows), output=output), says=(output,))


def test_mended_input_runs_under_the_same_name(ft, refused, recipe, checkpoint, work):
    (work / "data.jsonl").write_text(f'{GOOD}\n{{"text": "x"}}\n')
    path = recipe(model=checkpoint("llama"), data="data.jsonl")
    refused(path)
    (work / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    assert ft("train", path).code == 0


def test_loss_that_is_no_number(ft, recipe, checkpoint, chat_rows):
    path = recipe(
        model=checkpoint("llama"),
        data=str(chat_rows),
        adapter={"name": "full"},
        trainer={"steps": 30, "save_every": 1, "max_grad_norm": None},
        optimizer={"learning_rate": 1e30},
    )
    done = ft("train", path)
    assert done.code == 1
    assert "the loss is nan at step" in done.err
    assert "lower optimizer.learning_rate" in done.err
    assert not Path("run/result").exists()


# -- afterwards --------------------------------------------------------------------------------


@pytest.fixture
def run(ft, recipe, checkpoint, chat_rows):
    assert ft("train", recipe(model=checkpoint("llama"), data=str(chat_rows))).code == 0
    return "run"


def test_unknown_option_of_the_exporter(ft, run, work):
    before = snapshot(work)
    done = ft("export", run, "shard_sise=1GB")
    assert done.code == 2
    assert "shard_sise" in done.err
    assert "shard_size" in done.err
    done = ft("export", run, "--to", "gguff")
    assert done.code == 2
    assert "no exporter 'gguff'" in done.err
    assert snapshot(work) == before


def test_chat_with_what_is_no_model(ft, work):
    done = ft("chat", "./nowhere", "-p", "x")
    assert done.code == 2
    assert "nowhere" in done.err


def test_chat_with_an_unknown_engine(ft, run):
    done = ft("chat", run, "--engine", "vlmm", "-p", "x")
    assert done.code == 2
    assert "no engine 'vlmm'" in done.err
    assert "transformers" in done.err


def test_chat_without_an_engine(ft, run, monkeypatch):
    """Where no engine is installed."""
    from ft.plugins import index, policy

    class Without(index.Index):
        pass

    whole = policy.installed_index()
    records = [record for record in whole.records if record.kind != "engine"]
    monkeypatch.setattr(policy, "installed_index", lambda: index.Index(records, whole.matches))
    done = ft("chat", run, "-p", "x")
    assert done.code == 2
    assert "no engine is installed" in done.err
