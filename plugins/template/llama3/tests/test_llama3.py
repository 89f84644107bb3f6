from ft.api import Conversation, Message, ToolCall
from ft.conformance.conversations import TIME, VARIABLES, WEATHER, conversations
from ft.conformance.published import first_difference, published
from ft.data.render import render
from ft_template_llama3 import template_3_1, template_3_2


def test_tools_of_a_recipe_take_the_place_of_those_of_a_row():
    for plugin in (template_3_1, template_3_2):
        compared, difference = first_difference(
            plugin.jinja,
            published(plugin.published[0]),
            conversations(),
            {**VARIABLES, "custom_tools": [TIME]},
        )
        assert difference is None
        assert compared > 400


def test_parses_a_call_of_a_built_in_tool():
    call = ToolCall("wiki", {"query": 'a "b", c', "lang": "en"})
    answer = Message("assistant", tool_calls=[call])
    rendered = render(
        template_3_1.jinja,
        Conversation(messages=[Message("user", "Hi"), answer], tools=[WEATHER]),
        generation_prompt=False,
        variables={**VARIABLES, "builtin_tools": ["wiki"]},
    )
    ((start, end, _),) = rendered.spans
    written = rendered.text[start:end]
    assert written.endswith("<|eom_id|>")
    assert template_3_1.ft_parse_answer(written.removesuffix("<|eom_id|>")) == answer
