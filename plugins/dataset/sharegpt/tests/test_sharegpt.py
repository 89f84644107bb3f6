"""ShareGPT rows to conversations."""

import json

import pytest

from ft.api import Message, Part, RowError, ToolCall
from ft_dataset_sharegpt import dataset

GLAIVE = {
    "conversations": [
        {"from": "human", "value": "I have chicken, bell peppers, and rice."},
        {
            "from": "function_call",
            "value": '{"name": "search_recipes", "arguments": {"ingredients": ["chicken"]}}',
        },
        {"from": "observation", "value": '{"recipes": [{"name": "Chicken Stir Fry"}]}'},
        {"from": "gpt", "value": "I found Chicken Stir Fry."},
    ],
    "tools": '[{"name": "search_recipes", "description": "Search for recipes", "parameters": '
    '{"type": "object", "properties": {"ingredients": {"type": "array"}}}}]',
}
PLAIN = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]


def align(row, **options):
    return dataset.bind("sharegpt", options).ft_align_row(row=row)


def test_a_row_of_glaive():
    example = align(GLAIVE)
    assert example.messages == [
        Message("user", "I have chicken, bell peppers, and rice."),
        Message("assistant", tool_calls=[ToolCall("search_recipes", {"ingredients": ["chicken"]})]),
        Message("tool", '{"recipes": [{"name": "Chicken Stir Fry"}]}'),
        Message("assistant", "I found Chicken Stir Fry."),
    ]
    assert example.tools == [{"type": "function", "function": json.loads(GLAIVE["tools"])[0]}]
    assert example.extra == {}


def test_several_calls_in_one_turn_and_arguments_as_text():
    calls = '[{"name": "a", "arguments": "{\\"x\\": 1}"}, {"name": "b"}]'
    example = align({"conversations": [{"from": "function_call", "value": calls}]})
    assert example.messages[0].tool_calls == [ToolCall("a", {"x": 1}), ToolCall("b", {})]


def test_system_tools_and_unused_columns():
    example = align({"conversations": PLAIN, "system": "Be brief.", "tools": "", "id": 7})
    assert example.messages[0] == Message("system", "Be brief.")
    assert example.tools == []
    assert example.extra == {"id": 7}
    assert len(align({"conversations": PLAIN, "system": ""}).messages) == 2


def test_other_tags():
    turns = [{"role": "bot", "text": "hello"}]
    example = align(
        {"dialog": turns},
        conversations="dialog",
        role_key="role",
        content_key="text",
        roles={"bot": "assistant"},
    )
    assert example.messages == [Message("assistant", "hello")]


def test_a_turn_may_say_whether_it_is_trained():
    turns = [PLAIN[0], {**PLAIN[1], "train": False}, {**PLAIN[1], "weight": 0.5}]
    _, first, second = align({"conversations": turns}).messages
    assert (first.train, second.train, second.weight) == (False, None, 0.5)


def test_media_of_several_kinds_are_placed_in_order():
    turns = [
        {"from": "human", "value": "<image>a<video><image>"},
        {"from": "gpt", "value": "in HTML one writes <audio>"},
    ]
    example = align(
        {"conversations": turns, "images": ["1", {"bytes": b"2", "path": None}], "videos": "v"}
    )
    assert example.messages[0].content == [
        Part("image", source="1"),
        Part("text", "a"),
        Part("video", source="v"),
        Part("image", source=b"2"),
    ]
    assert example.messages[1].content == "in HTML one writes <audio>"


def call(value):
    return {"conversations": [{"from": "function_call", "value": value}]}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "conversations"),
        ({"conversations": []}, "conversations"),
        ({"conversations": "hello"}, "conversations"),
        ({"conversations": [PLAIN[0]]}, "conversations"),
        ({"conversations": [*PLAIN, "x"]}, "conversations[2]"),
        ({"conversations": [{"value": "x"}]}, "conversations[0].from"),
        ({"conversations": [{"from": "narrator", "value": "x"}]}, "conversations[0].from"),
        ({"conversations": [{"from": ["gpt"], "value": "x"}]}, "conversations[0].from"),
        ({"conversations": [{"from": "gpt"}]}, "conversations[0].value"),
        ({"conversations": [{"from": "gpt", "value": 3}]}, "conversations[0].value"),
        ({"conversations": [*PLAIN, {**PLAIN[1], "weight": -1}]}, "conversations[2].weight"),
        ({"conversations": [{**PLAIN[1], "train": "no"}]}, "conversations[0].train"),
        (call("not JSON"), "conversations[0]"),
        (call('{"arguments": {}}'), "conversations[0].name"),
        (call('{"name": "f", "arguments": [1]}'), "conversations[0].arguments"),
        (call('{"name": "f", "arguments": "{"}'), "conversations[0].arguments"),
        (call('[{"name": "f"}, 3]'), "conversations[0][1]"),
        ({"conversations": PLAIN, "tools": "{"}, "tools"),
        ({"conversations": PLAIN, "tools": [{"parameters": {}}]}, "tools[0]"),
        ({"conversations": PLAIN, "images": ["1"]}, "images"),
        ({"conversations": PLAIN, "images": [7]}, "images[0]"),
        ({"conversations": [*PLAIN, {**PLAIN[0], "value": "<image>"}], "images": []}, "images"),
        (
            {"conversations": [{"from": "system", "value": "a"}, *PLAIN], "system": "b"},
            "system",
        ),
    ],
)
def test_the_field_at_fault_is_named(row, field):
    with pytest.raises(RowError) as caught:
        align(row)
    assert caught.value.field == field
