from pathlib import Path
from types import SimpleNamespace

import pytest

from ft.api import Conversation, InputError, Message
from ft.conformance.bench import Told
from ft_reward_python import reward

FILE = """
import time

def share(answer, row):
    if answer == "slow":
        while True:
            time.sleep(0.01)
    return len(answer) / row["length"]

def turns(messages, **rest):
    return len(messages)

def asks(tokens):
    return 0
"""


def bound(folder: Path, text: str = FILE, **options):
    (folder / "rewards.py").write_text(text)
    plugin = reward.bind("python", {"file": "rewards.py", **options}, folder=folder)
    plugin.ft_start_process(run=None)
    return plugin


def answered(*texts):
    return [Conversation([Message("user", "?"), Message("assistant", text)]) for text in texts]


def scores(plugin, rows, *texts):
    run = SimpleNamespace(progress=Told())
    found = plugin.ft_score(run=run, conversations=answered(*texts), extras=rows)
    return found, run.progress.lines


def test_a_crash_and_a_time_out_cost_one_answer_each(tmp_path):
    plugin = bound(tmp_path, function="share", timeout=0.05)
    rows = [{"length": 4}, {}, {"length": 4}, {"length": 8}]
    found, lines = scores(plugin, rows, "abcd", "abcd", "slow", "abcd")
    assert found == [1.0, None, None, 0.5]
    # the first one is told of, with its place
    (line,) = lines
    assert "KeyError" in line
    assert "rewards.py:8" in line


def test_it_gets_the_conversation_too(tmp_path):
    assert scores(bound(tmp_path, function="turns"), [{}], "a")[0] == [2.0]


@pytest.mark.parametrize(
    ("text", "function", "said"),
    [
        (FILE, "none", "there is no function none"),
        (FILE, "asks", "asks asks for tokens"),
        ("def reward(:", "reward", "SyntaxError"),
        ("import no_such_module", "reward", "no_such_module"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_at_the_start(tmp_path, text, function, said):
    with pytest.raises(InputError, match=said) as error:
        bound(tmp_path, text, function=function)
    assert "rewards.py" in error.value.where
