import pytest
from families import assert_groups, assert_packs, assert_trains, load, random_ids
from tiny import write_tiny

from ft_model_smollm2 import family


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("smollm2"), "smollm2", "llama")
    return load(family, "llama", folder)


def test_trains(model):
    assert_groups(family, model)
    assert_trains(model, input_ids=random_ids(20)[0][None])


def test_packed_equals_unpacked(model):
    assert_packs(model)
