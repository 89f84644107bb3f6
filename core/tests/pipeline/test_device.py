"""Which device a run gets."""

from __future__ import annotations

import pytest

from ft.errors import InputError
from ft.pipeline.device import choose_device


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
