import pytest
from families import assert_groups, assert_packs, assert_trains, load, random_ids
from published import assert_as_published, conversations
from tiny import write_tiny

from ft_model_smollm2 import family, template


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("smollm2"), "smollm2", "llama")
    return load(family, "llama", folder)


def test_trains(model):
    assert_groups(family, model)
    assert_trains(model, input_ids=random_ids(20)[0][None])


def test_packed_equals_unpacked(model):
    assert_packs(model)


def test_renders_as_published():
    compared = assert_as_published(
        template.jinja, "HuggingFaceTB/SmolLM2-135M-Instruct", conversations()
    )
    assert compared > 400
