import pytest
import torch
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_fourierft import adapter as fourierft
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def fourierft_run(folder, steps=3, **options):
    plugins = [
        fourierft.bind("fourierft", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_update_is_that_of_the_paper(tmp_path):
    run = fourierft_run(tmp_path, frequencies=50, scale=100.0)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    spectrum = torch.zeros(64, 64)
    rows, columns = layer.indices["default"]
    spectrum[rows, columns] = layer.fourierft_spectrum["default"].detach()
    assert spectrum.count_nonzero() == 50
    update = 100 * torch.fft.ifft2(spectrum).real
    expected = x @ (layer.base_layer.weight + update).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_more_frequencies_than_there_are_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is 5000, and the update of .*q_proj has 4096"):
        fourierft_run(tmp_path, frequencies=5000)


def test_only_a_spectrum_of_zeros_starts_at_the_base():
    assert "starts-at-base" in fourierft.bind("fourierft").capabilities().provides
    normal = fourierft.bind("fourierft", {"start": "normal"}).capabilities()
    assert "starts-at-base" not in normal.provides
