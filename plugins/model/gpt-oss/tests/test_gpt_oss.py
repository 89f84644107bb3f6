import pytest

from ft.api import Conversation, InputError, Message, ToolCall
from ft.conformance.conversations import VARIABLES
from ft.conformance.published import explain, published, text_of
from ft.data.render import render
from ft_model_gpt_oss import template

CALL = ToolCall("find", {"query": "x"})
PROPERTIES = {
    "names": {"type": "array", "items": {"type": "string"}, "nullable": True},
    "anything": {"type": "array"},
    "points": {
        "type": "array",
        "items": {"type": "object", "properties": {"x": {"type": "number"}, "y": {}}},
    },
    "long": {
        "type": "array",
        "items": {"type": "object", "properties": {f"part_{n}": {} for n in range(9)}},
    },
    "mode": {"type": "string", "enum": ["a", "b"], "default": "a", "description": "How"},
    "limit": {"type": "integer", "default": 3},
    "text": {"type": "string", "nullable": True},
    "either": {"type": ["string", "null"]},
    "one": {"oneOf": [{"type": "string", "description": "s"}, {"type": "number", "default": 1}]},
    "many": {"oneOf": [{"type": "object"}, {"type": "string"}], "default": "x"},
    "flag": {"type": "boolean"},
    "where": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "code": {"type": "integer"}},
        "required": ["city"],
    },
    "free": {"type": "object"},
}
TOOL = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Finds",
        "parameters": {"type": "object", "properties": PROPERTIES, "required": ["names"]},
    },
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_type_of_a_parameter_is_as_published(name):
    parameters = {"type": "object", "properties": {name: PROPERTIES[name]}, "required": ["limit"]}
    tool = {"type": "function", "function": {**TOOL["function"], "parameters": parameters}}
    asked = Conversation(messages=[Message("user", "Hi")], tools=[tool])
    original = text_of(published("openai/gpt-oss-120b"), asked, True, VARIABLES)
    assert explain(text_of(template.jinja, asked, True, VARIABLES), original) is None
    assert original is not None


@pytest.mark.parametrize("answer", [{"tool_calls": [CALL, CALL]}, {"content": "I look."}])
def test_what_the_format_would_lose_is_refused(answer):
    turn = Message("assistant", **{"tool_calls": [CALL], **answer})
    with pytest.raises(InputError, match="no place for"):
        render(
            template.jinja,
            Conversation(messages=[Message("user", "Hi"), turn], tools=[TOOL]),
            generation_prompt=False,
            variables=VARIABLES,
        )


def test_an_answer_that_stopped_in_its_thoughts():
    found = template.ft_parse_answer("<|channel|>analysis<|message|>Well,")
    assert found == Message("assistant", reasoning="Well,")
