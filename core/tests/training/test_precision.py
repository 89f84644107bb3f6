"""The type of a step, and what scales its loss."""

from __future__ import annotations

import pytest
import torch
from harness import tiny_run

from ft.api import InputError, Optimizer
from ft.training.precision import make_scaler
from ft_trainer_sft import trainer


class Usual(Optimizer):
    """Steps when the gradients are there, as far as its words go."""


class Backward(Optimizer):
    """Steps inside the backward pass, as far as its words go."""

    accepts = frozenset()


def test_float16_is_refused_where_gradients_are_taken_before_they_are_unscaled(tmp_path):
    usual, backward = (
        tiny_run(tmp_path, [trainer.bind("sft"), optimizer().bind("taken")])
        for optimizer in (Usual, Backward)
    )
    assert make_scaler(usual, torch.float16).is_enabled()
    assert not make_scaler(backward, torch.bfloat16).is_enabled()
    with pytest.raises(InputError, match=r"optimizer:taken.* takes gradients inside"):
        make_scaler(backward, torch.float16)
