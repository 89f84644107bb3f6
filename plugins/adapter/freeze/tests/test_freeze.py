import pytest
from harness import tiny_run

from ft.api import InputError, ModelFamily
from ft_adapter_freeze import adapter as freeze


def freeze_run(folder, model_type="llama", **options):
    return tiny_run(folder, [freeze.bind("freeze", options)], model_type=model_type)


def trained(run):
    return {name for name, _ in run.trainable()}


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_the_last_layers_train(tmp_path, model_type):
    names = trained(freeze_run(tmp_path, model_type, layers=1))
    assert names
    assert all(".1." in name for name in names)


def test_first_layers_modules_and_further_parameters(tmp_path):
    assert all(".0." in name for name in trained(freeze_run(tmp_path, layers=-1)))
    names = trained(freeze_run(tmp_path, layers=1, modules=["mlp"], also=["lm_head"]))
    assert "lm_head.weight" in names
    assert all("mlp" in name for name in names - {"lm_head.weight"})


def test_layers_by_number(tmp_path):
    assert all(".0." in name for name in trained(freeze_run(tmp_path, layers=[0])))
    both = trained(freeze_run(tmp_path, layers=[1, 0]))
    assert both == trained(freeze_run(tmp_path, layers=2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 3}, "has 2 decoder layers"),
        ({"layers": 0}, "nothing to train"),
        ({"layers": [0, 2]}, "has 2 decoder layers"),
        ({"layers": 1, "modules": ["mlp", "atn"]}, "'atn' is in none of the chosen layers"),
        ({"groups": ["vision"]}, "no part 'vision'"),
    ],
)
def test_a_choice_that_trains_nothing_is_refused(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        freeze_run(tmp_path, **options)


def test_whole_parts_train_whatever_modules_says(tmp_path):
    family = ModelFamily("Parts", "", ("llama",), groups={"head": "lm_head"})
    plugins = [freeze.bind("freeze", {"layers": 1, "modules": ["mlp"], "groups": ["head"]})]
    names = trained(tiny_run(tmp_path, plugins, family=family))
    assert "lm_head.weight" in names
    assert all("mlp" in name for name in names - {"lm_head.weight"})


def test_a_further_parameter_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"'lm_haed' matches no parameter") as caught:
        freeze_run(tmp_path, also=["lm_haed"])
    assert "lm_head" in str(caught.value)


def test_a_tied_parameter_goes_by_either_name(tmp_path):
    sizes = {"llama": {"tie_word_embeddings": True}}
    family = ModelFamily("Tied", "", ("llama",), tiny=sizes)
    plugins = [freeze.bind("freeze", {"layers": 0, "also": ["lm_head"]})]
    assert trained(tiny_run(tmp_path, plugins, family=family)) == {"model.embed_tokens.weight"}


def test_decoder_layers_are_needed_where_some_train():
    assert "decoder-layers" in freeze.bind("freeze").capabilities().needs
    said = freeze.bind("freeze", {"layers": 0, "also": ["norm"]}).capabilities()
    assert "decoder-layers" not in said.needs


def test_a_part_may_be_the_list_of_layers_itself(tmp_path):
    family = ModelFamily("Parts", "", ("llama",), groups={"language": "model.layers"})
    names = trained(tiny_run(tmp_path, [freeze.bind("freeze", {"layers": 1})], family=family))
    assert names
    assert all(name.startswith("model.layers.1.") for name in names)
