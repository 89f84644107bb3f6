"""Packing: every row once, no pack too long, and few packs."""

import math
import random
import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft.data.mix import weighted
from ft.data.pack import pack

LENGTHS = st.integers(1, 60).flatmap(
    lambda most: st.tuples(st.lists(st.integers(0, most), max_size=80), st.just(most))
)


@given(LENGTHS)
def test_packs_hold_every_row_once_and_are_full(case):
    lengths, most = case
    packs = pack(lengths, most)
    assert sorted(row for rows in packs for row in rows) == list(range(len(lengths)))
    sums = [sum(lengths[row] for row in rows) for rows in packs]
    assert max(sums, default=0) <= most
    # no row could have gone into another pack: two packs never fit into one
    assert all(a + b > most for i, a in enumerate(sums) for b in sums[i + 1 :])
    assert pack(lengths, most) == packs


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_packs_are_within_the_bound_of_best_fit_decreasing(lengths):
    @cache
    def fewest(left: tuple[int, ...], rooms: tuple[int, ...]) -> int:
        if not left:
            return len(rooms)
        first, rest = left[0], left[1:]
        options = [fewest(rest, tuple(sorted((*rooms, 20 - first))))]
        for i, room in enumerate(rooms):
            if room >= first:
                options.append(
                    fewest(rest, tuple(sorted((*rooms[:i], room - first, *rooms[i + 1 :]))))
                )
        return min(options)

    best = fewest(tuple(sorted(lengths, reverse=True)), ())
    assert len(pack(lengths, 20)) <= 11 / 9 * best + 6 / 9


def test_a_longer_row_is_refused():
    with pytest.raises(ValueError, match="row 1 has 9 tokens"):
        pack([3, 9], 8)


def test_a_hundred_thousand_rows_take_moments_and_little_padding():
    generator = random.Random(0)
    lengths = [min(4096, int(generator.lognormvariate(5.5, 1)) + 1) for _ in range(100_000)]
    began = time.perf_counter()
    packs = pack(lengths, 4096)
    assert time.perf_counter() - began < 2
    assert len(packs) <= math.ceil(sum(lengths) / 4096) * 1.001


@given(st.integers(0, 200), st.floats(0, 4))
def test_a_weight_takes_whole_rows_and_a_fraction(count, weight):
    taken = weighted(count, weight, "seed")
    assert taken == weighted(count, weight, "seed") == sorted(taken)
    whole = int(weight)
    assert len(taken) == whole * count + round((weight - whole) * count)
    assert all(whole <= taken.count(row) <= whole + 1 for row in range(count))


def test_another_seed_takes_other_rows():
    assert weighted(1000, 0.3, "1") != weighted(1000, 0.3, "2")
