from types import SimpleNamespace

from ft.api import ModelFamily
from ft_model_auto import family


def test_says_that_it_stands_in(tmp_path):
    said = []
    run = SimpleNamespace(progress=SimpleNamespace(warn=said.append))
    assert family.ft_load_config(run, tmp_path / "mynet") is None
    assert "mynet" in said[0]


def test_a_family_accepts_no_packing_until_it_says_so():
    for plugin in (family, ModelFamily("New", "")):
        assert plugin.bind("new").capabilities().accepts == frozenset()
