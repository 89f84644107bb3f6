import json

import numpy as np
import pytest
import torch
from families import run_of
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny import write_tiny

from ft.api import Conversation, Message, Part
from ft.pipeline.load import load_base
from ft_model_qwen2_5_omni import family, template


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    name = "qwen2_5_omni_thinker"
    return write_tiny(tmp_path_factory.mktemp(name), "qwen2-5-omni", name)


@pytest.fixture
def run(folder):
    run = run_of(family, folder, template.bind("qwen2-5-omni"))
    run.device = torch.device("cpu")
    return run


def test_the_thinker_of_a_whole_checkpoint_is_loaded_and_saved(run, folder, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    tensors = load_file(folder / "model.safetensors")
    thinker = load_base(run).state_dict()
    # so they are called in published checkpoints, behind `thinker.`
    assert {name.split(".")[0] for name in tensors} == {"model", "audio_tower", "visual", "lm_head"}
    assert "model.layers.0.self_attn.q_proj.weight" in tensors
    stored = {f"thinker.{name}": tensor for name, tensor in tensors.items()}
    save_file(
        {**stored, "talker.codec_head.weight": torch.ones(2, 2)},
        whole / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = json.loads((folder / "config.json").read_text())
    (whole / "config.json").write_text(
        json.dumps({"model_type": "qwen2_5_omni", "thinker_config": config, "talker_config": {}})
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        (whole / name).write_bytes((folder / name).read_bytes())

    other = run_of(family, whole)
    other.device = run.device
    other.progress.warn = pytest.fail
    model = load_base(other)
    assert model.config.model_type == "qwen2_5_omni_thinker"
    torch.testing.assert_close(model.state_dict(), thinker, rtol=0, atol=0)

    model.save_pretrained(tmp_path / "result")
    assert {*load_file(tmp_path / "result" / "model.safetensors")} == {*stored}
    again = load_base(other, tmp_path / "result").state_dict()
    torch.testing.assert_close(again, thinker, rtol=0, atol=0)


def test_a_row_may_have_a_clip_and_an_image(run):
    clip = Part("audio", source=np.zeros(800, np.float32))
    image = Part("image", source=Image.new("RGB", (32, 16)))
    turns = [Message("user", [clip, image, clip]), Message("assistant", "A dog.")]
    row = run.tokenize([run.render(Conversation(messages=turns))])[0]
    ids = list(row.input_ids)
    lengths = row.media["feature_attention_mask"].sum(-1)
    assert ids.count(run.processor.audio_token_id) == ((lengths - 1) // 2 + 1).div(2).floor().sum()
    assert ids.count(run.processor.image_token_id) == row.media["image_grid_thw"].prod() // 4
    trained = [id for id, weight in zip(ids, row.weights, strict=True) if weight]
    assert run.tokenizer.decode(trained) == "A dog.<|im_end|>"
