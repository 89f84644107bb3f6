"""Which device a run gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ft.api import ModelFamily, Run
from ft.errors import InputError
from ft.pipeline.device import choose_device, choose_weight_dtype
from ft.plugins.selection import Selection
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_trainer_sft import trainer as sft


def test_a_word_that_is_no_device_is_the_users_error():
    with pytest.raises(InputError, match="no device 'gpu'"):
        choose_device("gpu")


def test_a_device_that_is_not_here(monkeypatch):
    import torch

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="has no cuda:2: it has 2"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    ("kinds", "device", "dtype"),
    [
        ("", "cuda", "bfloat16"),
        ("", "cpu", "float32"),
        ("full", "cuda", "bfloat16"),
        ("full sft", "cuda", "float32"),
        ("lora sft", "cuda", "bfloat16"),
        ("lora sft", "cpu", "float32"),
    ],
)
def test_only_weights_that_train_are_float32_on_an_accelerator(kinds, device, dtype):
    plugins = {"full": full, "lora": lora, "sft": sft}
    bound = [plugins[name].bind(name) for name in kinds.split()]
    family = ModelFamily("X", "Y").bind("x")
    run = Run(Selection([family, *bound]), folder=Path())
    run.device = torch.device(device)
    assert choose_weight_dtype(run) == getattr(torch, dtype)
