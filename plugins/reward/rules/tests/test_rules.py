import pydantic
import pytest

from ft.api import Conversation, Message
from ft_reward_rules import reward


def score(text, row=None, **options):
    answered = [Conversation([Message("user", "?"), Message("assistant", text)])]
    return reward.bind("rules", options).ft_score(conversations=answered, extras=[row or {}])[0]


@pytest.mark.parametrize(
    ("text", "row", "options", "expected"),
    [
        ("<think>a\nb</think> 4", {}, {"pattern": "^<think>.*</think>"}, 1),
        ("4", {}, {"pattern": "^<think>.*</think>"}, 0),
        (" Paris ", {"city": "paris"}, {"equals": "city"}, 1),
        ("Paris", {"city": "paris"}, {"equals": "city", "ignore_case": False}, 0),
        ("So 3. \\boxed{4}", {"n": 4}, {"equals": "n", "extract": r"\\boxed\{(.*?)\}"}, 1),
        ("4", {"n": 4}, {"equals": "n", "extract": r"\\boxed\{(.*?)\}"}, 0),
        ("a and b", {}, {"contains": ["a", "c"], "excludes": ["z"]}, 2 / 3),
        ("a and b", {"all": ["a", "b"]}, {"contains_column": "all"}, 1),
        ('{"a": 1}', {}, {"json_keys": ["a"]}, 1),
        ('{"a": 1}', {}, {"json_keys": ["b"]}, 0),
        ("[1]", {}, {"json_keys": []}, 1),
        ("one two", {}, {"min_words": 2, "max_words": 2}, 1),
        ("a", {}, {"equals": "missing"}, None),
    ],
)
def test_the_share_of_rules_that_are_kept(text, row, options, expected):
    assert score(text, row, **options) == expected


def test_a_pattern_that_takes_forever_is_given_up(monkeypatch):
    monkeypatch.setattr("ft_reward_rules.SECONDS", 0.1)
    assert score("a" * 40 + "b", pattern="^(a|a)*$") is None


@pytest.mark.parametrize("options", [{}, {"pattern": "("}, {"extract": "a", "equals": "b"}])
def test_rules_without_sense_are_refused(options):
    with pytest.raises(pydantic.ValidationError):
        reward.bind("rules", options)
