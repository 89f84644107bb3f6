import pytest
from families import run_of
from PIL import Image
from tiny import write_tiny

from ft.api import Conversation, InputError, Message, Part
from ft.pipeline.load import load_processor
from ft_model_qwen2_5_vl import family, template


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("qwen2_5_vl"), "qwen2-5-vl", "qwen2_5_vl")


@pytest.fixture
def run(folder):
    return run_of(family, folder, template.bind("qwen2-5-vl"))


def encode(run, *parts):
    turns = [Message("user", [*parts, Part("text", "Look.")]), Message("assistant", "A dog.")]
    return run.tokenize([run.render(Conversation(messages=turns))])[0]


def image(*size):
    return Part("image", source=Image.new("RGB", size))


def test_each_image_keeps_its_own_resolution(run):
    row = encode(run, image(64, 32), image(30, 50))
    sizes = row.media["image_grid_thw"]
    assert sizes[0].tolist() != sizes[1].tolist()
    assert row.per_token["mm_token_type_ids"].count(1) == sizes.prod(dim=-1).sum() // 4


def test_a_typed_placeholder_is_an_error(run):
    with pytest.raises(InputError, match="for 1 parts of type image"):
        encode(run, image(64, 32), Part("text", "What is <|image_pad|>?"))


def test_a_batch_of_text_and_images_has_the_same_columns(run):
    text = encode(run)
    assert text.per_token.keys() == encode(run, image(64, 32)).per_token.keys()
    assert not any(text.per_token["mm_token_type_ids"])


def test_the_saved_processor_loads(run, tmp_path):
    run.processor.save_pretrained(tmp_path)
    assert (tmp_path / "preprocessor_config.json").exists()
    run.model_folder = tmp_path
    load_processor(run)
    assert run.processor.image_token == "<|image_pad|>"


def test_accepts_videos_where_they_can_be_read(run):
    accepts = family.bind("qwen2-5-vl").capabilities().accepts
    assert ("video" in accepts) == hasattr(run.processor, "video_processor")
