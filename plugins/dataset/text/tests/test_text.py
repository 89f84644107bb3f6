"""Plain text rows."""

import pytest

from ft.api import RowError, Text
from ft_dataset_text import dataset

C4 = {"text": "Do you think you need all the bells and whistles? No problem.\nCall us."}


def align(row, **options):
    return dataset.bind("text", options).ft_align_row(row=row)


def test_a_row_of_c4():
    assert align(C4) == Text(text=C4["text"])


def test_another_column_and_what_is_left():
    example = align({"content": "a", "url": "b"}, text="content")
    assert example == Text(text="a", extra={"url": "b"})


@pytest.mark.parametrize("row", [{}, {"text": None}, {"text": ""}, {"text": " \n"}, {"text": 1}])
def test_a_row_without_text_is_wrong(row):
    with pytest.raises(RowError) as caught:
        align(row)
    assert caught.value.field == "text"
