from types import SimpleNamespace

from ft.api import ModelFamily
from ft_model_auto import family
from ft_model_gpt2 import family as gpt2
from ft_model_llama import family as llama
from ft_model_qwen3 import family as qwen3
from ft_model_smollm2 import family as smollm2


def test_says_that_it_stands_in(tmp_path):
    said = []
    run = SimpleNamespace(progress=SimpleNamespace(warn=said.append))
    assert family.ft_load_config(run, tmp_path / "mynet") is None
    assert "mynet" in said[0]


def test_accepts_no_packing():
    assert "packing" not in family.bind("auto").capabilities().accepts


def test_a_new_family_accepts_no_packing_until_it_says_so():
    assert ModelFamily("New", "").bind("new").capabilities().accepts == frozenset()
    for proved in (gpt2, llama, qwen3, smollm2):
        assert "packing" in proved.bind("proved").capabilities().accepts
