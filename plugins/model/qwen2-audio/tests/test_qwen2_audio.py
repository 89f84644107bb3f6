from itertools import product

import numpy as np
import pytest
import soundfile
import transformers
from families import run_of
from tiny import write_tiny

from ft.api import Conversation, InputError, Message, Part
from ft.conformance.conversations import conversations
from ft.conformance.published import first_difference
from ft.data.render import unmarked
from ft_model_qwen2_audio import family, template

HOP = 160
"""Samples of two frames of the tiny checkpoint, of which one feature is made."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("qwen2_audio"), "qwen2-audio", "qwen2_audio")


@pytest.fixture
def run(folder):
    return run_of(family, folder, template.bind("qwen2-audio"))


def encode(run, *sources):
    parts = [Part("audio", source=source) for source in sources]
    turns = [Message("user", [*parts, Part("text", "?")]), Message("assistant", "A dog.")]
    return run.tokenize([run.render(Conversation(messages=turns))])[0]


def features(run, row):
    return list(row.input_ids).count(run.processor.audio_token_id)


def test_the_template_is_that_of_the_processor():
    clip = Part("audio", source="x.wav")
    examples = list(conversations(("<|im_end|>",)))
    for parts, role in product(([clip], [Part("text", "a"), clip, clip]), ("user", "system")):
        turns = [Message(role, [*parts, Part("text", "b")]), Message("assistant", "c")] * 2
        examples.append(Conversation(messages=turns))
    # it is what the processor has where a checkpoint brings none
    original = transformers.Qwen2AudioProcessor.default_chat_template.fget(None)
    compared, difference = first_difference(unmarked(template.jinja), original, examples, {})
    assert difference is None
    assert compared > 100


def test_an_image_is_refused(run):
    turns = [Message("user", [Part("image", source="x.png")]), Message("assistant", "A dog.")]
    with pytest.raises(InputError, match="no place for a part of type image"):
        run.render(Conversation(messages=turns))


def test_files_are_resampled_and_mixed_down(run, tmp_path):
    rate = run.processor.feature_extractor.sampling_rate
    wave = np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
    halved = np.stack([wave[::2], wave[::2]], axis=1)
    soundfile.write(tmp_path / "full.flac", wave, rate)
    soundfile.write(tmp_path / "half.wav", halved, rate // 2)
    full, half = (encode(run, tmp_path / name) for name in ("full.flac", "half.wav"))
    assert full.input_ids == half.input_ids
    assert features(run, full) == rate // 2 // HOP
    apart = full.media["input_features"] - half.media["input_features"]
    assert apart.abs().mean() < 0.05


def test_a_clip_longer_than_the_model_hears_is_refused(run):
    rate = run.processor.feature_extractor.sampling_rate
    assert features(run, encode(run, np.zeros(rate, np.float32))) == rate // HOP
    with pytest.raises(InputError, match=r"lasts 1\.5 s, and the model hears 1 s"):
        encode(run, np.zeros(3 * rate // 2, np.float32))
