import pytest

from ft.api import InputError
from ft.conformance.conversations import conversations, conversations_with_media
from ft.conformance.published import published
from ft.data.render import render, unmarked
from ft_model_ernie_4_5_vl import template

VARIABLES = ({}, {"enable_thinking": False}, {"enable_thinking": True})


@pytest.mark.parametrize("variables", VARIABLES, ids=str)
def test_prompts_are_as_published_but_for_the_placeholders(variables):
    original = published("baidu/ERNIE-4.5-VL-28B-A3B-PT")
    for name in ("image", "video"):
        original = original.replace(f"<|{name}@placeholder|>", f"<|{name.upper()}_PLACEHOLDER|>")
    own, compared = unmarked(template.jinja), 0
    for conversation in (*conversations(), *conversations_with_media()):
        texts = []
        for jinja in (own, original):
            try:
                texts.append(
                    render(jinja, conversation, generation_prompt=True, variables=variables).text
                )
            except InputError:
                texts.append(None)
        assert texts[0] == texts[1]
        compared += texts[0] is not None
    assert compared > 100
