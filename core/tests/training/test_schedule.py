"""Courses of the learning rate."""

from __future__ import annotations

from typing import get_args

import pydantic
import pytest
import torch
import transformers

from ft.api import OptimizerOptions
from ft.api.optimizer import Schedule
from ft.training.schedule import COURSES, build_schedule, count_of


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
    assert count_of(warmup, steps) == expected


def test_a_warm_up_longer_than_the_run_still_runs():
    found, _ = rates(steps=4, warmup=9)
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4])


WARM, STEPS = 6, 40
COUNTS = {"num_warmup_steps": WARM, "num_training_steps": STEPS}
PUBLISHED = {
    "linear": ({}, transformers.get_linear_schedule_with_warmup, COUNTS),
    "cosine": ({}, transformers.get_cosine_schedule_with_warmup, COUNTS),
    "cosine-with-restarts": (
        {"cycles": 3},
        transformers.get_cosine_with_hard_restarts_schedule_with_warmup,
        {**COUNTS, "num_cycles": 3},
    ),
    "polynomial": (
        {"power": 1.5, "min_learning_rate": 0.1},
        transformers.get_polynomial_decay_schedule_with_warmup,
        {**COUNTS, "power": 1.5, "lr_end": 0.1},
    ),
    "warmup-stable-decay": (
        {"decay": 0.25, "min_learning_rate": 0.1},
        transformers.get_wsd_schedule,
        {**COUNTS, "num_decay_steps": 10, "decay_type": "linear", "min_lr_ratio": 0.1},
    ),
    "inverse-sqrt": ({}, transformers.get_inverse_sqrt_schedule, {"num_warmup_steps": WARM}),
}


@pytest.mark.parametrize("schedule", PUBLISHED)
def test_after_the_warm_up_it_is_the_published_course(schedule):
    options, build, theirs = PUBLISHED[schedule]
    found, end = rates(steps=STEPS, schedule=schedule, warmup=WARM, **options)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference, expected = build(optimizer, **theirs), []
    for _ in range(STEPS + 1):
        expected.append(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert [*found, end][WARM:] == pytest.approx(expected[WARM:], abs=1e-9)


def test_cosine_with_a_floor_is_the_one_of_llama():
    found, end = rates(steps=STEPS, schedule="cosine", warmup=WARM, min_learning_rate=0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = transformers.get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, WARM, STEPS, min_lr_rate=0.1
    )
    for step in range(STEPS):
        if step >= WARM:
            assert found[step] == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert end == pytest.approx(0.1)


def test_every_schedule_has_a_course():
    assert set(get_args(Schedule)) == COURSES.keys()


def test_a_decay_longer_than_what_the_warm_up_leaves_falls_from_there():
    found, end = rates(schedule="warmup-stable-decay", warmup=4, decay=20)
    assert found[4:] == pytest.approx([1 - i / 6 for i in range(6)])
    assert end == 0


def test_a_resolved_schedule_names_what_it_left_open():
    assert OptimizerOptions(schedule="polynomial").power == 2
    assert OptimizerOptions(schedule="warmup-stable-decay", decay=None).decay == 0.1
    assert OptimizerOptions(schedule="cosine").cycles is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"schedule": "cosine", "cycles": 2}, "cycles"),
        ({"schedule": "linear", "power": 2}, "power"),
        ({"decay": 0.1}, "decay"),
        ({"schedule": "constant", "min_learning_rate": 1e-5}, "min_learning_rate"),
        ({"schedule": "inverse-sqrt", "min_learning_rate": 1e-5}, "min_learning_rate"),
        ({"min_learning_rate": 1e-3}, "min_learning_rate"),
    ],
)
def test_an_option_of_another_schedule_is_refused(options, named):
    with pytest.raises(pydantic.ValidationError) as caught:
        OptimizerOptions(**options)
    assert [error["loc"] for error in caught.value.errors()] == [(named,)]
