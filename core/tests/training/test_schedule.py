"""Courses of the learning rate."""

from __future__ import annotations

import pytest
import torch

from ft.api import OptimizerOptions
from ft.training.schedule import build_schedule, warmup_steps


def rates(steps=10, **options):
    """The learning rate of each step."""
    options = OptimizerOptions(learning_rate=1.0, **options)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=options.learning_rate)
    schedule = build_schedule(optimizer, options, steps)
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found, schedule.get_last_lr()[0]


def test_constant():
    assert rates(schedule="constant") == ([1.0] * 10, 1.0)


def test_linear():
    found, end = rates(schedule="linear")
    assert found == pytest.approx([1 - i / 10 for i in range(10)])
    assert end == 0


def test_cosine():
    found, end = rates(schedule="cosine")
    assert found[0] == 1
    assert found[5] == pytest.approx(0.5)
    assert found == sorted(found, reverse=True)
    assert end == pytest.approx(0)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_floor(schedule):
    found, end = rates(schedule=schedule, min_learning_rate=0.2)
    assert min(found) > 0.2
    assert end == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_rises_to_the_peak_and_never_starts_at_zero(schedule):
    found, _ = rates(schedule=schedule, warmup=4)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert max(found) == 1.0


@pytest.mark.parametrize(
    ("warmup", "steps", "expected"),
    [(0, 100, 0), (0.1, 100, 10), (0.07, 100, 7), (0.05, 30, 2), (1, 100, 1), (25, 10, 25)],
)
def test_warm_up_as_a_share_or_a_count(warmup, steps, expected):
    assert warmup_steps(warmup, steps) == expected


def test_a_warm_up_longer_than_the_run_still_runs():
    found, _ = rates(steps=4, warmup=9)
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4])
