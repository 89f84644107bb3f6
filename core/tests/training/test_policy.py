"""The formulas of methods with rewards, against numbers worked out by hand."""

from math import exp, inf, nan, sqrt

import pytest
import torch

from ft.api import policy

DOCUMENTS = torch.tensor([0, 0, 1, 1, 1])


def alone(value):
    """The sum over one process."""
    return value


def close(found, *expected):
    wanted = torch.tensor(expected, dtype=torch.float32).reshape(found.shape)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_group_advantages():
    rewards = torch.tensor([1.0, 3.0, 5.0, 5.0])
    close(policy.group_advantages(rewards, 2, "none", alone), -1, 1, 0, 0)
    # the deviation of 1 and 3 is the root of 2; of all four, of 11/3
    close(policy.group_advantages(rewards, 2, "group", alone), -1 / sqrt(2), 1 / sqrt(2), 0, 0)
    scale = sqrt(11 / 3)
    close(policy.group_advantages(rewards, 2, "batch", alone), -1 / scale, 1 / scale, 0, 0)


def test_an_answer_without_a_reward_takes_no_part():
    rewards = torch.tensor([1.0, nan, 3.0, nan, nan, 7.0])
    close(policy.group_advantages(rewards, 3, "none", alone), -1, 0, 1, 0, 0, 0)
    close(policy.group_advantages(rewards, 3, "group", alone), -0.7071, 0, 0.7071, 0, 0, 0)
    close(policy.leave_one_out(rewards, 3), -2, 0, 2, 0, 0, 0)


def test_leave_one_out():
    close(policy.leave_one_out(torch.tensor([1.0, 2.0, 6.0]), 3), -3, -1.5, 4.5)


def test_whitening_counts_what_counts():
    values = torch.tensor([1.0, 3.0, 99.0])
    close(policy.whitened(values, values < 9, alone), -0.7071, 0.7071, 0)


def test_moments_are_those_of_all_processes():
    """Two processes with other values each: their sums are added."""
    mine, theirs = torch.tensor([1.0, 2.0]), torch.tensor([6.0])
    others = iter([torch.tensor(1.0), theirs.sum(), (theirs - 3).square().sum()])
    mean, variance = policy.moments(mine, mine < inf, lambda own: own + next(others))
    close(mean, 3.0)
    close(variance, 7.0)


def test_generalized_advantages():
    rewards, values = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.6, 0.7]])
    # errors, from the end: 1 - 0.7, 0.9 * 0.7 - 0.6, 0.9 * 0.6 - 0.5
    last = 0.3
    middle = 0.03 + 0.9 * 0.8 * last
    first = 0.04 + 0.9 * 0.8 * middle
    found = policy.generalized_advantages(rewards, values, 0.9, 0.8)
    torch.testing.assert_close(found, torch.tensor([[first, middle, last]]))


def test_tokens_and_documents():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    close(policy.document_sums(values, DOCUMENTS, 3), 3, 12, 0)
    close(policy.document_means(values, DOCUMENTS, 3), 1.5, 4, 0)
    close(policy.sums_to_end(values, DOCUMENTS), 3, 2, 12, 9, 5)
    assert policy.last_of_each(DOCUMENTS).tolist() == [False, True, False, False, True]
    rows, mask = policy.as_rows(values, DOCUMENTS)
    assert rows.tolist() == [[1, 2, 0], [3, 4, 5]]
    assert rows[mask].equal(values)


@pytest.mark.parametrize(
    ("name", "expected"), [("k1", 0.5), ("k2", 0.125), ("k3", exp(-0.5) - 0.5)]
)
def test_divergences(name, expected):
    close(policy.divergence(torch.tensor([-1.0]), torch.tensor([-1.5]), name), expected)


def test_k1_and_k3_have_the_divergence_as_their_mean():
    p, r = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    exact = (p * (p / r).log()).sum()
    for name in ("k1", "k3"):
        torch.testing.assert_close((p * policy.divergence(p.log(), r.log(), name)).sum(), exact)


def test_the_clipped_gain_is_pessimistic():
    ratio, advantage = torch.tensor([1.5, 1.5, 0.5, 0.5]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    close(policy.clipped_gain(ratio, advantage, 0.2, 0.3), 1.3, -1.5, 0.5, -0.8)
