import pytest

from ft.api import Message, RowError
from ft_dataset_prompts import dataset

prompts = dataset.bind("prompts")


def test_an_answer_at_the_end_is_for_the_rewards():
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    found = prompts.ft_align_row({"messages": turns, "level": 3})
    assert found.messages == [Message("user", "1+1?")]
    assert found.extra == {"answer": "2", "level": 3}


def test_a_column_of_that_name_stays():
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "two"}]
    assert prompts.ft_align_row({"messages": turns, "answer": "2"}).extra == {"answer": "2"}


def test_a_row_without_a_prompt_says_what_is_wanted():
    with pytest.raises(RowError, match="is missing") as error:
        prompts.ft_align_row({"text": "1+1?"})
    assert "prompt, question" in error.value.hint
