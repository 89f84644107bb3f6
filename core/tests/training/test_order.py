"""The order of rows is a function of the seed, and complete."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft.training.order import Order, micro_batches

LENGTHS = [(7 * i) % 23 + 1 for i in range(1003)]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("by_length", [True, False])
def test_complete_and_deterministic(shuffle, by_length):
    def order(seed):
        return Order(LENGTHS, 8, seed, shuffle=shuffle, sort_by_length=by_length)

    epoch = order(1).epoch(0)
    assert epoch == order(1).epoch(0)
    assert sorted(item for batch in epoch for item in batch) == list(range(1003))
    assert len(epoch) == order(1).steps_per_epoch == 126
    assert sorted(map(len, epoch)) == [3] + [8] * 125
    assert (order(1).epoch(1) == epoch) is not shuffle
    assert (order(2).epoch(0) == epoch) is not shuffle


def test_going_on_gives_the_steps_that_were_left():
    order = Order(LENGTHS, 8, 3, sort_by_length=True)
    whole = list(order.batches(0, 300))
    assert list(order.batches(130, 300)) == whole[130:]
    assert [step for step, _ in whole] == list(range(300))


def test_sorting_saves_padding():
    def padding(order):
        return sum(
            max(LENGTHS[i] for i in batch) * len(batch) - sum(LENGTHS[i] for i in batch)
            for batch in order.epoch(0)
        )

    by_length = padding(Order(LENGTHS, 8, 0, sort_by_length=True))
    assert by_length < padding(Order(LENGTHS, 8, 0)) / 5


@settings(max_examples=200, deadline=None)
@given(
    items=st.integers(1, 40),
    size=st.integers(1, 9),
    world=st.integers(1, 5),
)
def test_processes_divide_a_batch(items, size, world):
    shares = [micro_batches(range(items), size, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert all(len(piece) <= size for share in shares for piece in share)
    assert sorted(i for share in shares for piece in share for i in piece) == list(range(items))
