"""EETQ as far as it goes without a GPU: what is asked of transformers, and what is refused."""

from types import SimpleNamespace

import pytest
import torch

from ft.api import InputError
from ft_quantizer_eetq import quantizer as eetq


def config_of(device, monkeypatch, *, kernels=True, found=None, **options):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: kernels or None)
    run = SimpleNamespace(device=torch.device(device))
    config = SimpleNamespace(quantization_config=found)
    return eetq.bind("eetq", options).ft_quantization_config(run=run, config=config)


def test_a_plain_checkpoint_is_quantized_on_load(monkeypatch):
    made = config_of("cuda", monkeypatch)
    assert (made.weights, made.modules_to_not_convert) == ("int8", None)
    made = config_of("cuda", monkeypatch, skip=["o_proj"])
    assert made.modules_to_not_convert == ["o_proj", "lm_head"]


def test_a_quantized_one_says_itself_how(monkeypatch):
    assert config_of("cuda", monkeypatch, found={"quant_method": "eetq"}) is None


def test_what_it_cannot_run_on_is_refused(monkeypatch):
    with pytest.raises(InputError, match="this run is on cpu"):
        config_of("cpu", monkeypatch)
    with pytest.raises(InputError, match="package kernels, which is not installed"):
        config_of("cuda", monkeypatch, kernels=False)
