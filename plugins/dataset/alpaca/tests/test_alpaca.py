"""Alpaca rows to conversations."""

import pytest

from ft.api import Message, Part, RowError
from ft_dataset_alpaca import dataset

IDENTITY = {
    "instruction": "hi",
    "input": "",
    "output": "Hello! I am {{name}}, an AI assistant developed by {{author}}.",
}


def align(row, **options):
    return dataset.bind("alpaca", options).ft_align_row(row=row)


def turns(example):
    return [(m.role, m.content) for m in example.messages]


def test_a_row_of_the_identity_set():
    assert turns(align(IDENTITY)) == [("user", "hi"), ("assistant", IDENTITY["output"])]


def test_all_columns():
    row = {
        **dataset.example,
        "system": "Be brief.",
        "history": [["hello", "hi"]],
        "source": "book",
    }
    example = align(row)
    assert [m.role for m in example.messages] == [
        *("system", "user", "assistant", "user", "assistant")
    ]
    assert example.messages[2] == Message("assistant", "hi")
    assert example.extra == {"source": "book"}


def test_columns_under_other_names():
    row = {"question": "2 + 2?", "answer": "4", "instruction": "unused"}
    example = align(row, prompt="question", response="answer")
    assert turns(example) == [("user", "2 + 2?"), ("assistant", "4")]
    assert example.extra == {"instruction": "unused"}


def test_images_go_where_the_text_marks_them():
    example = align({**IDENTITY, "instruction": "See <image>this", "images": ["1.jpg"]})
    assert example.messages[0].content == [
        Part("text", "See "),
        Part("image", source="1.jpg"),
        Part("text", "this"),
    ]


def test_an_answer_may_be_empty_and_an_input_stand_alone():
    assert turns(align({"instruction": None, "input": "x", "output": ""})) == [
        ("user", "x"),
        ("assistant", ""),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"instruction": None, "input": None}, "instruction"),
        ({"instruction": "", "input": ""}, "instruction"),
        ({"instruction": 3}, "instruction"),
        ({"input": ["x"]}, "input"),
        ({"output": None}, "output"),
        ({"output": {"text": "x"}}, "output"),
        ({"system": 1}, "system"),
        ({"history": "x"}, "history"),
        ({"history": [["a"]]}, "history[0]"),
        ({"history": [["a", "b"], ["c", None]]}, "history[1][1]"),
        ({"images": ["1.jpg"]}, "images"),
        ({"images": [None]}, "images[0]"),
    ],
)
def test_the_field_at_fault_is_named(change, field):
    with pytest.raises(RowError) as caught:
        align({**IDENTITY, **change})
    assert caught.value.field == field
