"""OpenAI rows to conversations."""

import pytest

from ft.api import Message, Part, RowError, ToolCall
from ft_dataset_messages import dataset

MLLM = {
    "messages": [
        {"content": "<image>Who are they?", "role": "user"},
        {"content": "They're Kane and Gretzka from Bayern Munich.", "role": "assistant"},
        {"content": "What are they doing?<image>", "role": "user"},
        {"content": "They are celebrating on the soccer field.", "role": "assistant"},
    ],
    "images": ["mllm_demo_data/1.jpg", "mllm_demo_data/1.jpg"],
}
REASONED = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "value": "Tell me about Inception."}]},
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "value": "Let me look it up."},
                {
                    "type": "tool_call",
                    "value": '{"name": "get_movie_details", "arguments": {"title": "Inception"}}',
                },
            ],
        },
        {"role": "tool", "content": [{"type": "text", "value": '[{"rating": 8.8}]'}]},
        {"role": "assistant", "content": [{"type": "text", "value": "It is rated 8.8."}]},
    ],
    "tools": '[{"type": "function", "function": {"name": "get_movie_details"}}]',
}
ASKED = {"role": "user", "content": "hi"}
ANSWERED = {"role": "assistant", "content": "hello"}


def align(row, **options):
    return dataset.bind("messages", options).ft_align_row(row=row)


def test_a_row_with_images():
    example = align(MLLM)
    assert example.messages[0].content == [
        Part("image", source="mllm_demo_data/1.jpg"),
        Part("text", "Who are they?"),
    ]
    assert example.messages[1].content == MLLM["messages"][1]["content"]
    assert [part.type for part in example.messages[2].content] == ["text", "image"]


def test_a_row_with_reasoning_and_tools():
    example = align(REASONED)
    assert example.messages == [
        Message("user", "Tell me about Inception."),
        Message(
            "assistant",
            reasoning="Let me look it up.",
            tool_calls=[ToolCall("get_movie_details", {"title": "Inception"})],
        ),
        Message("tool", '[{"rating": 8.8}]'),
        Message("assistant", "It is rated 8.8."),
    ]
    assert example.tools == [{"type": "function", "function": {"name": "get_movie_details"}}]


def test_everything_that_a_message_of_the_api_has():
    example = align(
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {**ASKED, "name": "Ada"},
                {
                    "role": "assistant",
                    "content": None,
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"x": 1}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "2"},
                {**ANSWERED, "weight": 0.0, "train": True, "tool_calls": None},
            ],
            "id": 5,
        }
    )
    assert example.messages == [
        Message("system", "Be brief."),
        Message("user", "hi", name="Ada"),
        Message("assistant", reasoning="hm", tool_calls=[ToolCall("f", {"x": 1}, "1")]),
        Message("tool", "2", tool_call_id="1"),
        Message("assistant", "hello", train=True, weight=0.0),
    ]
    assert example.extra == {"id": 5}


def test_media_inside_of_parts_and_of_columns():
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://host/1.png"}},
        {"type": "image"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]
    example = align(
        {"messages": [{"role": "user", "content": content}, ANSWERED], "images": ["2.png"]}
    )
    assert [part.source for part in example.messages[0].content] == [
        None,
        "https://host/1.png",
        "2.png",
        "data:audio/wav;base64,UklG",
    ]


def test_only_the_completion_of_a_prompt_is_trained():
    example = align({"prompt": [ASKED, ANSWERED, ASKED], "completion": [ANSWERED]})
    assert [m.train for m in example.messages] == [None, False, None, None]
    example = align({"prompt": "hi", "completion": "hello"})
    assert example.messages == [Message("user", "hi"), Message("assistant", "hello")]


def test_messages_as_a_json_string():
    assert align({"messages": '[{"role": "assistant", "content": "hello"}]'}).messages == [
        Message("assistant", "hello")
    ]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [ASKED]}, "messages"),
        ({"messages": "[{"}, "messages"),
        ({"messages": "[" * 100_000}, "messages"),
        ({"messages": [ASKED, {"role": "robot", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": [1]}]}, "messages[0].content[0]"),
        ({"messages": [{**ANSWERED, "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{**ANSWERED, "content": [{"type": []}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{**ANSWERED, "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        ({"messages": [{**ANSWERED, "content": [{"type": "image"}]}]}, "images"),
        ({"messages": [{**ASKED, "tool_calls": [{"name": "f"}]}]}, "messages[0].tool_calls"),
        ({"messages": [{**ANSWERED, "tool_calls": [{}]}]}, "messages[0].tool_calls[0].name"),
        ({"messages": [{**ANSWERED, "weight": "much"}]}, "messages[0].weight"),
        ({"messages": [{**ANSWERED, "reasoning": 1}]}, "messages[0].reasoning"),
        ({"prompt": "hi", "completion": None}, "completion"),
        ({"prompt": "hi", "completion": [ASKED]}, "completion"),
        ({"prompt": None, "completion": "hello"}, "prompt"),
        ({**MLLM, "images": ["1.jpg"]}, "images"),
    ],
)
def test_the_field_at_fault_is_named(row, field):
    with pytest.raises(RowError) as caught:
        align(row)
    assert caught.value.field == field
