import pytest
import torch
from families import assert_groups, assert_trains, load, random_ids, run_of
from PIL import Image
from tiny import write_tiny

from ft.api import Conversation, InputError, Message, Part
from ft.pipeline.load import load_processor
from ft_model_qwen2_5_vl import family, template


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(
        tmp_path_factory.mktemp("qwen2_5_vl"), "qwen2-5-vl", "qwen2_5_vl", images=True
    )


@pytest.fixture(scope="module")
def model(folder):
    return load(family, "qwen2_5_vl", folder)


def encode(run, *parts):
    turns = [Message("user", [*parts, Part("text", "Look.")]), Message("assistant", "A dog.")]
    return run.tokenize([run.render(Conversation(messages=turns))])[0]


def test_text(model):
    assert_groups(family, model)
    assert_trains(model, input_ids=random_ids(20)[0][None])


def test_one_token_for_each_image_feature(folder, model):
    images = [Part("image", source=Image.new("RGB", size)) for size in ((64, 32), (30, 50))]
    row = encode(run_of(family, folder, template), *images)
    places = row.input_ids.count(model.config.image_token_id)
    merged = row.media["image_grid_thw"].prod(dim=-1) // 4
    assert places == merged.sum()
    assert row.per_token["mm_token_type_ids"].count(1) == places
    assert_trains(
        model,
        input_ids=torch.tensor([row.input_ids]),
        mm_token_type_ids=torch.tensor([row.per_token["mm_token_type_ids"]]),
        **row.media,
    )


def test_trains_on_the_answer_alone(folder):
    run = run_of(family, folder, template)
    row = encode(run, Part("image", source=Image.new("RGB", (64, 32))))
    trained = [i for i, w in zip(row.input_ids, row.weights, strict=True) if w]
    assert run.tokenizer.decode(trained) == "A dog.<|im_end|>"


def test_a_typed_placeholder_is_an_error(folder):
    run = run_of(family, folder, template)
    image = Part("image", source=Image.new("RGB", (64, 32)))
    with pytest.raises(InputError, match="for 1 parts of type image"):
        encode(run, image, Part("text", "What is <|image_pad|>?"))


def test_a_batch_of_text_and_images_has_the_same_columns(folder):
    run = run_of(family, folder, template)
    text = encode(run)
    image = encode(run, Part("image", source=Image.new("RGB", (64, 32))))
    assert text.per_token.keys() == image.per_token.keys()
    assert not any(text.per_token["mm_token_type_ids"])


def test_the_saved_processor_loads(folder, tmp_path):
    run = run_of(family, folder, template)
    run.processor.save_pretrained(tmp_path)
    assert (tmp_path / "preprocessor_config.json").exists()
    run.model_folder = tmp_path
    load_processor(run)
    assert run.processor.image_token == "<|image_pad|>"


def test_refuses_a_video_without_torchvision(folder):
    run = run_of(family, folder, template)
    if hasattr(run.processor, "video_processor"):
        pytest.skip("torchvision is installed")
    with pytest.raises(InputError, match="video"):
        encode(run, Part("video", source="x.mp4"))


def test_does_not_accept_packing():
    assert "packing" not in family.bind("qwen2-5-vl").capabilities().accepts
