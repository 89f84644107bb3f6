import pytest

from ft.api import Conversation, Message
from ft_reward_maths import reward


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("The result is $\\frac{1}{2}$.", "0.5", 1),
        ("\\boxed{x + 1}", "1 + x", 1),
        ("First 3, then 4, so \\boxed{72}.", "48 and 24 more\n#### 72", 1),
        ("\\boxed{71}", "48 and 24 more\n#### 72", 0),
        ("1,234", "1234", 1),
        ("I do not know.", "72", 0),
        ("72", None, None),
    ],
)
def test_what_is_equal_is_right(answer, reference, expected):
    asked = [Conversation([Message("user", "?"), Message("assistant", answer)])]
    plugin = reward.bind("maths")
    assert plugin.ft_score(conversations=asked, extras=[{"answer": reference}]) == [expected]
