from types import SimpleNamespace

from ft_model_auto import family


def test_says_that_it_stands_in(tmp_path):
    said = []
    run = SimpleNamespace(progress=SimpleNamespace(warn=said.append))
    assert family.ft_load_config(run, tmp_path / "mynet") is None
    assert "mynet" in said[0]


def test_accepts_no_packing():
    assert "packing" not in family.bind("auto").capabilities().accepts
