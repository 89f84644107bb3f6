"""Eight rows learned by heart: every adapter on every family, as ``ft train`` runs them."""

from __future__ import annotations

import json
import shutil

import pytest

FAMILIES = {
    "llama": ("llama", "llama"),
    "gpt2": ("gpt2", "gpt2"),
    "qwen3": ("qwen3", "qwen3"),
    "qwen3-moe": ("qwen3", "qwen3_moe"),
    "gemma3": ("gemma3", "gemma3_text"),
    "gemma3-images": ("gemma3", "gemma3"),
    "qwen2.5-vl": ("qwen2-5-vl", "qwen2_5_vl"),
}
WITH_IMAGES = ("gemma3-images", "qwen2.5-vl")
ADAPTERS = {
    "full": ({"name": "full"}, 3e-3),
    "freeze": ({"name": "freeze", "layers": 2}, 1e-2),
    "lora": ({"name": "lora", "rank": 16}, 1e-2),
}


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("model", FAMILIES)
def test_learns_eight_rows_by_heart(
    ft, checkpoint, recipe, write_rows, facts, conversation, metrics, work, model, adapter
):
    images = model in WITH_IMAGES
    folder = checkpoint(*FAMILIES[model])
    if model == "gpt2":
        folder = without_dropout(folder, work / "model")
    rows = [conversation(question, answer) for question, answer in facts]
    if images:
        rows = with_images(work, facts, sharegpt=model == "qwen2.5-vl")
    parts, learning_rate = ADAPTERS[adapter]
    if (model, adapter) == ("qwen3-moe", "lora"):
        parts = {**parts, "experts": True}  # they are most of such a model
    path = recipe(
        model=folder,
        data=str(write_rows(rows)),
        adapter=parts,
        trainer={"steps": 40, "batch_size": 8},
        optimizer={"learning_rate": learning_rate},
        **({"template": "alpaca"} if model == "gpt2" else {}),
    )
    done = ft("train", path, "--json")
    assert done.code == 0, done.err
    losses = [line["loss"] for line in metrics(work / "run")]
    assert losses[0] > 1
    assert done.json["loss"] == losses[-1] < 0.1


def without_dropout(checkpoint, folder):
    """A copy of a checkpoint: with GPT-2's dropout no training loss comes near zero."""
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {key: 0.0 for key in config if key.endswith("pdrop")}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def with_images(work, facts, sharegpt):
    """The same rows, each about a picture of its own, whose files lie beside the data."""
    from PIL import Image

    (work / "pictures").mkdir()
    rows = []
    for number, (question, answer) in enumerate(facts):
        name = f"pictures/{number}.png"
        Image.new("RGB", (32, 32), (30 * number, 255 - 30 * number, 90)).save(work / name)
        if sharegpt:
            turns = [{"from": "human", "value": f"<image>{question}"}]
            turns.append({"from": "gpt", "value": answer})
            rows.append({"conversations": turns, "images": [name]})
        else:
            content = [{"type": "image", "image": name}, {"type": "text", "text": question}]
            rows.append(
                {
                    "messages": [
                        {"role": "user", "content": content},
                        {"role": "assistant", "content": answer},
                    ]
                }
            )
    return rows
