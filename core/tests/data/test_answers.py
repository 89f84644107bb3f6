"""What parsers of answers share."""

from __future__ import annotations

import re

import pytest

from ft.api import Message, ToolCall, json_call, read_answer, tagged_call, typed_argument

SAY = {
    "type": "function",
    "function": {
        "name": "say",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
    },
}
CALL = re.compile(r"<call>(.*?)</call>", re.S)
THOUGHTS = re.compile(r"<think>(.*?)</think>", re.S)
NAME = re.compile(r"(\w+)\n")
ARGUMENT = re.compile(r"(\w+)=(?:<<(.*?)>>|(.*?))\n", re.S)


def test_thoughts_text_and_calls():
    text = '<think>hm</think>Now.<call>{"name": "now", "arguments": {}}</call>'
    assert read_answer(text, CALL, json_call, THOUGHTS) == Message(
        "assistant", "Now.", reasoning="hm", tool_calls=[ToolCall("now", {})]
    )


def test_what_is_no_call_stays_text():
    text = '<call>{"name": "now", "arguments": {}}</call><call>now</call>'
    assert read_answer(text, CALL, json_call) == Message("assistant", text)


@pytest.mark.parametrize(
    "text",
    ["{", "3", '{"name": "now"}', '{"name": 1, "arguments": {}}', '{"name": "a", "arguments": []}'],
)
def test_json_that_is_no_call(text):
    with pytest.raises(ValueError, match=r"."):
        json_call(text)


def test_arguments_under_another_key():
    text = '{"name": "now", "parameters": {"a": 1}}'
    assert json_call(text, "parameters") == ToolCall("now", {"a": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[1, null]", [1, None]),
        ("true", True),
        ("True", True),
        ("{'a': [1, None]}", {"a": [1, None]}),
        ("Oslo", "Oslo"),
        ('"Oslo"', '"Oslo"'),
        ("{1, 2}", "{1, 2}"),
        ("[" * 10_000, "[" * 10_000),
    ],
)
def test_the_type_of_bare_text(text, value):
    assert typed_argument(text, "look", "at", [SAY]) == value
    assert typed_argument(text, "say", "text", [SAY]) == text


def test_tagged_call():
    found = tagged_call("say\ntext=7\ntimes=<<[2]>>\n", NAME, ARGUMENT, [SAY])
    assert found == ToolCall("say", {"text": "7", "times": [2]})


@pytest.mark.parametrize("text", ["", "say\ntext=a\nmore", "say\ntext=a\ntext=b\n"])
def test_what_a_tagged_call_leaves_over(text):
    with pytest.raises(ValueError, match=r"no name|more than arguments"):
        tagged_call(text, NAME, ARGUMENT, [SAY])
