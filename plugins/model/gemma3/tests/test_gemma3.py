import pytest
import torch
from families import assert_groups, assert_packs, assert_trains, load, random_ids, run_of
from PIL import Image
from tiny import write_tiny

from ft.api import Conversation, InputError, Message, Part, Trainer
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection
from ft_model_gemma3 import family, template


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("text"), "gemma3", "gemma3_text")
    return load(family, "gemma3_text", folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("gemma3"), "gemma3", "gemma3", images=True)


@pytest.fixture(scope="module")
def model(folder):
    return load(family, "gemma3", folder)


def encode(run, colors):
    parts = [Part("image", source=Image.new("RGB", (40, 30), color)) for color in colors]
    turns = [Message("user", [*parts, Part("text", "Look.")]), Message("assistant", "A dog.")]
    return run.tokenize([run.render(Conversation(messages=turns))])[0]


def inputs(row):
    return {
        "input_ids": torch.tensor([row.input_ids]),
        **{name: torch.tensor([column]) for name, column in row.per_token.items()},
        **row.media,
    }


def test_text_model(text_model):
    assert_trains(text_model, input_ids=random_ids(20)[0][None])
    assert_packs(text_model, (7, 70, 12))


def test_image_model_without_images(model):
    assert_groups(family, model)
    assert_packs(model, (7, 70, 12))


def test_one_token_for_each_image_feature(folder, model):
    run = run_of(family, folder, template)
    row = encode(run, ["red", "blue"])
    places = row.input_ids.count(model.config.image_token_index)
    features = model.model.get_image_features(row.media["pixel_values"]).pooler_output
    assert places == features.shape[0] * features.shape[1] == 8
    assert sum(row.per_token["token_type_ids"]) == 8
    trained = [i for i, w in zip(row.input_ids, row.weights, strict=True) if w]
    assert run.tokenizer.decode(trained) == "A dog.<end_of_turn>"
    assert_trains(model, **inputs(row))


@torch.no_grad()
def test_packed_text_equals_unpacked(folder, model):
    model.eval()
    run = run_of(family, folder, template)
    rows = [encode(run, []) for _ in range(3)]
    alone = torch.cat([model(**inputs(row)).logits[0] for row in rows])
    packed = model(
        input_ids=torch.tensor([[i for row in rows for i in row.input_ids]]),
        token_type_ids=torch.tensor([[i for row in rows for i in row.per_token["token_type_ids"]]]),
        position_ids=torch.tensor([[i for row in rows for i in range(len(row))]]),
        use_cache=False,
    ).logits[0]
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-4)


def test_refuses_to_pack_images(folder):
    class PackingTrainer(Trainer):
        pass

    trainer = PackingTrainer().bind("sft", {"packing": True})
    run = run_of(family, folder, template)
    run.selection = Selection([*run.selection.all(), trainer], DEFAULTS)
    assert encode(run, [])
    with pytest.raises(InputError, match="packed"):
        encode(run, ["red"])
