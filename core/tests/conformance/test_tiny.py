"""Tiny checkpoints, and the reference family that sees and hears."""

from __future__ import annotations

import pytest

from ft.conformance.check import checks_for
from ft.conformance.examine import examine
from ft.conformance.reference import REFERENCES
from ft.conformance.reference.model import media_family
from ft.conformance.tiny import control_tokens, tiny_tokenizer, write_tiny
from ft.data.render import has_marks

TEMPLATE = REFERENCES["template"]
WITH_MEDIA = ("images", "video", "audio", "media-training", "groups", "builds", "padding")


def digests(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_same_arguments_give_the_same_files(tmp_path):
    one, other = (
        write_tiny(tmp_path / name, REFERENCES["model"], "ft-reference", TEMPLATE)
        for name in ("one", "other")
    )
    assert digests(one) == digests(other)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= digests(one).keys()


def test_leaves_the_random_generators_alone(tmp_path):
    import torch

    before = torch.get_rng_state()
    write_tiny(tmp_path, REFERENCES["model"], "ft-reference", TEMPLATE)
    assert torch.get_rng_state().equal(before)


def test_a_configuration_may_be_given(tmp_path):
    import json

    family = REFERENCES["model"]
    config = family.tiny_config("ft-reference")
    config.tie_word_embeddings = True
    write_tiny(tmp_path, family, "ft-reference", TEMPLATE, config)
    assert json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"] is True


def test_control_tokens_are_one_token_each_and_named_ones_come_last():
    named = {"image_token": "<|image|>"}
    tokenizer = tiny_tokenizer(512, TEMPLATE, named)
    for token in (*control_tokens(TEMPLATE), *named.values()):
        assert len(tokenizer(token, add_special_tokens=False).input_ids) == 1, token
    assert tokenizer.image_token == "<|image|>"
    assert tokenizer.convert_tokens_to_ids("<|image|>") == len(tokenizer) - 1 < 512
    assert not has_marks(tokenizer.chat_template)


@pytest.mark.parametrize(
    "check", [c for c in checks_for("model") if c.id.removeprefix("model.") in WITH_MEDIA]
)
def test_the_reference_with_media_passes(check):
    outcome = examine(check, media_family, "media")
    assert outcome.status == "passed", outcome.message
