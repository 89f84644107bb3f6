import pytest
from published import TIME, VARIABLES, WEATHER, assert_as_published, conversations

from ft.api import Conversation, Message, ToolCall
from ft.data.render import render
from ft_template_llama3 import template, template_3_1, template_3_2

VARIANTS = [
    {"tools_in_user_message": False},
    {"date_string": "1 Jan 2020"},
    {"custom_tools": [TIME]},
    {"builtin_tools": ["code_interpreter", "get_weather"]},
]


@pytest.mark.parametrize(
    ("plugin", "checkpoint", "variables"),
    [
        (template, "NousResearch/Meta-Llama-3-8B-Instruct", []),
        (template_3_1, "meta-llama-Llama-3.1-8B-Instruct", VARIANTS),
        (template_3_2, "meta-llama-Llama-3.2-3B-Instruct", VARIANTS),
    ],
)
def test_renders_as_published(plugin, checkpoint, variables):
    compared = assert_as_published(plugin.jinja, checkpoint, conversations(), *variables)
    assert compared > 400


@pytest.mark.parametrize(
    ("answer", "variables"),
    [
        (Message("assistant", "Hello."), {}),
        (Message("assistant", '{"a": 1}'), {}),
        (Message("assistant", tool_calls=[ToolCall("get_weather", {"city": "Zürich"})]), {}),
        (
            Message(
                "assistant", tool_calls=[ToolCall("wiki", {"query": 'a "b", c', "lang": "en"})]
            ),
            {"builtin_tools": ["wiki"]},
        ),
    ],
)
def test_parses_what_it_renders(answer, variables):
    conversation = Conversation(messages=[Message("user", "Hi"), answer], tools=[WEATHER])
    rendered = render(
        template_3_1.jinja,
        conversation,
        generation_prompt=False,
        variables={**VARIABLES, **variables},
    )
    ((start, end, _),) = rendered.spans
    written = rendered.text[start:end]
    stop = next(stop for stop in template_3_1.stop if written.endswith(stop))
    assert template_3_1.ft_parse_answer(written.removesuffix(stop)) == answer
