import json

import pytest
import torch
from families import run_of
from safetensors.torch import load_file, save_file
from tiny import write_tiny

from ft.api import Conversation, Message, Part
from ft.conformance.published import published
from ft.data.render import render
from ft.pipeline.load import load_base
from ft_model_qwen3_omni import family, template, thinking


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    name = "qwen3_omni_moe_thinker"
    return write_tiny(tmp_path_factory.mktemp(name), "qwen3-omni", name)


def run_in(folder):
    run = run_of(family, folder)
    run.device = torch.device("cpu")
    run.progress.warn = lambda message: pytest.fail(message)
    return run


def rendered(jinja, *turns):
    return render(jinja, Conversation(messages=turns), generation_prompt=False, variables={}).text


def test_the_thinker_of_a_whole_checkpoint_is_loaded(folder, tmp_path):
    stored = load_file(folder / "model.safetensors")
    # published experts are stored one by one
    assert "model.layers.0.mlp.experts.0.gate_proj.weight" in stored
    whole = {f"thinker.{name}": tensor for name, tensor in stored.items()}
    save_file(
        {**whole, "talker.codec_head.weight": torch.ones(2, 2)},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = {"model_type": "qwen3_omni_moe", "talker_config": {}}
    config["thinker_config"] = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    part, alone = (load_base(run_in(where)).state_dict() for where in (tmp_path, folder))
    torch.testing.assert_close(part, alone, rtol=0, atol=0)


def test_the_model_that_never_thinks_is_taught_no_empty_thoughts():
    turns = Message("user", "Hi"), Message("assistant", "Yes.")
    text = published("Qwen/Qwen3-Omni-30B-A3B-Instruct")
    assert rendered(template.jinja, *turns).endswith("assistant\nYes.<|im_end|>\n")
    assert rendered(text, *turns).endswith("assistant\n<think>\n\n</think>\n\nYes.<|im_end|>\n")


def test_thoughts_about_a_clip_are_kept():
    clip = Message("user", [Part("audio", source="x.wav")])
    turns = clip, Message("assistant", "A dog.", reasoning="It barks.")
    text = published("Qwen/Qwen3-Omni-30B-A3B-Thinking")
    assert "It barks." in rendered(thinking.jinja, *turns)
    assert "It barks." not in rendered(text, *turns)
