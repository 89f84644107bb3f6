import math

import numpy as np
import pytest
import torch
from harness import tiny_run

from ft.api import InputError, ModelFamily
from ft_adapter_spectrum import adapter as spectrum
from ft_adapter_spectrum import signal_to_noise


def make(folder, **options):
    family = ModelFamily("Deep", "", ("llama",), tiny={"llama": {"num_hidden_layers": 4}})
    return tiny_run(folder, [spectrum.bind("spectrum", options)], family=family)


def trained(run):
    return {name for name, _ in run.trainable()}


def test_the_ratio_is_that_of_the_paper():
    matrix = torch.randn(40, 24, generator=torch.Generator().manual_seed(0))
    # in another library, from the definition of the paper
    values = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    spread = np.subtract(*np.percentile(values, [75, 25])) / 1.349
    epsilon = spread * math.sqrt((1 + math.sqrt(24 / 40)) ** 2)
    expected = values[values > epsilon].sum() / values[values <= epsilon].sum() / values.max()
    assert signal_to_noise(matrix) == pytest.approx(expected, rel=1e-5)
    assert signal_to_noise(matrix.T) == pytest.approx(expected, rel=1e-5)


def test_of_each_kind_those_with_most_signal_train(tmp_path):
    run = make(tmp_path, fraction=0.5)
    base = dict(run.load_base().named_parameters())
    names = trained(run)
    kinds = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    for kind in kinds:
        ratios = {n: signal_to_noise(p) for n, p in base.items() if f".{kind}." in n}
        best = sorted(ratios, key=ratios.__getitem__, reverse=True)[:2]
        assert {name for name in names if f".{kind}." in name} == set(best)
    assert len(names) == 2 * len(kinds)


def test_one_of_a_kind_trains_at_least(tmp_path):
    assert len(trained(make(tmp_path, fraction=0.01))) == 7


def test_chosen_modules_and_further_parameters(tmp_path):
    names = trained(
        make(tmp_path, fraction=0.25, modules=["mlp"], also=["lm_head", r"model\.norm"])
    )
    assert {"lm_head.weight", "model.norm.weight"} < names
    inside = names - {"lm_head.weight", "model.norm.weight"}
    assert len(inside) == 3
    assert all(".mlp." in name for name in inside)


def test_modules_that_are_nowhere_are_refused(tmp_path):
    with pytest.raises(InputError, match="no weight matrix to choose from"):
        make(tmp_path, modules=["mpl"])
