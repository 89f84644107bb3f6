"""Mixing is a matter of numbers: which examples, how often, in which order."""

from collections import Counter

import numpy as np
import pytest

from ft.data.mix import mixed, set_aside
from ft.errors import InputError


def sets(examples, counts):
    """The set of each example, and each set's examples in their order."""
    ends = np.cumsum(counts)
    which = np.searchsorted(ends, examples, side="right")
    starts = ends - counts
    return which, [(examples[which == k] - starts[k]).tolist() for k in range(len(counts))]


def mix(counts, weights, how, seed=1):
    return mixed(counts, weights, [f"set-{k}" for k in range(len(counts))], how, seed)


def test_concat_takes_one_set_after_the_other_by_weight():
    found = mix([10, 4, 6], [0.5, 2.5, 1], "concat")
    which, rows = sets(found, np.array([10, 4, 6]))
    assert which.tolist() == [0] * 5 + [1] * 10 + [2] * 6
    assert len(set(rows[0])) == 5
    assert sorted(Counter(rows[1]).values()) == [2, 2, 3, 3]
    assert rows[2] == [*range(6)]


def test_interleaving_ends_with_the_first_set_that_ends():
    counts = np.array([2000, 300, 5000])
    found = mix(counts, [2, 1, 1], "interleave-first")
    which, rows = sets(found, counts)
    assert which[-1] == 1
    assert rows[1] == [*range(300)]
    assert rows[0] == [*range(len(rows[0]))]
    assert rows[2] == [*range(len(rows[2]))]
    shares = np.bincount(which) / len(which)
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.04)


def test_interleaving_ends_with_the_last_set_and_repeats_shorter_ones():
    counts = np.array([50, 3000, 400])
    found = mix(counts, [1, 1, 2], "interleave-last")
    which, rows = sets(found, counts)
    assert which[-1] == 1
    assert rows[1] == [*range(3000)]
    assert rows[0] == [n % 50 for n in range(len(rows[0]))]
    assert rows[2] == [n % 400 for n in range(len(rows[2]))]
    assert len(rows[2]) / len(rows[0]) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("how", ["concat", "interleave-first", "interleave-last"])
def test_the_seed_alone_decides(how):
    arguments = ([500, 700], [0.5, 1.5], how)
    assert mix(*arguments).tolist() == mix(*arguments).tolist()
    assert mix(*arguments).tolist() != mix(*arguments, seed=2).tolist()


@pytest.mark.parametrize("how", ["concat", "interleave-first", "interleave-last"])
def test_empty_sets_are_left_out(how):
    _, rows = sets(mix([0, 5, 0], [1, 1, 1], how), np.array([0, 5, 0]))
    assert rows == [[], [*range(5)], []]
    assert len(mix([0], [1], how)) == 0


@pytest.mark.parametrize("share", [0.25, 2])
def test_evaluation_rows_are_set_aside_before_they_repeat(share):
    chosen = mix([8], [2], "concat")
    train, held_out = set_aside(chosen, share, 1)
    assert (len(train), len(held_out)) == (12, 2)
    assert not set(train) & set(held_out)
    assert held_out.tolist() == sorted(held_out)
    assert set_aside(chosen, share, 1)[1].tolist() == held_out.tolist()
    assert set_aside(chosen, 4, 2)[1].tolist() != set_aside(chosen, 4, 1)[1].tolist()


def test_a_share_for_evaluation_takes_at_least_one_row():
    train, held_out = set_aside(np.arange(8), 0.01, 1)
    assert (len(train), len(held_out)) == (7, 1)


@pytest.mark.parametrize("share", [8, 0.99])
def test_an_evaluation_split_leaves_rows_on_both_sides(share):
    with pytest.raises(InputError, match="both sides"):
        set_aside(np.arange(8), share, 1)
