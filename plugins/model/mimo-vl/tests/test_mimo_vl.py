from itertools import product

from ft.api import InputError
from ft.conformance.conversations import conversations
from ft.conformance.published import published
from ft.data.render import render, unmarked
from ft_model_mimo_vl import template


def test_text_is_as_published():
    """The published text knows no images, which stand as in the architecture's own format."""
    original, own, compared = published("MiMo-VL"), unmarked(template.jinja), 0
    for conversation, prompt in product(conversations(), (False, True)):
        texts = []
        for jinja in (own, original):
            try:
                texts.append(
                    render(jinja, conversation, generation_prompt=prompt, variables={}).text
                )
            except InputError:
                texts.append(None)
        assert texts[0] == texts[1]
        compared += texts[0] is not None
    assert compared > 100
