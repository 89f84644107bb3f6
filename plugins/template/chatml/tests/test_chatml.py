from published import VARIABLES, assert_as_published, conversations

from ft.api import Conversation, Message
from ft.data.render import render
from ft_template_chatml import template


def test_renders_as_published():
    # SmolLM has the plain form of the format
    checkpoint = "HuggingFaceTB/SmolLM-135M-Instruct"
    assert assert_as_published(template.jinja, checkpoint, conversations()) > 400


def test_marks_the_answer_and_its_terminator():
    turns = [Message("user", "Hi"), Message("assistant", "Hello.")]
    rendered = render(
        template.jinja, Conversation(messages=turns), generation_prompt=False, variables=VARIABLES
    )
    ((start, end, weight),) = rendered.spans
    assert rendered.text[start:end] == "Hello.<|im_end|>"
    assert rendered.text[end:] == "\n"
    assert weight == 1
