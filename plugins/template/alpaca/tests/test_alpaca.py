import pytest

from ft.api import Conversation, InputError, Message
from ft.data.render import render
from ft_template_alpaca import template

TURNS = [Message("user", "Say hi."), Message("assistant", "Hi.")]


def text_of(messages, prompt=False, eos="</s>"):
    return render(
        template.jinja,
        Conversation(messages=messages),
        generation_prompt=prompt,
        variables={"eos_token": eos},
    )


def test_format():
    assert text_of(TURNS[:1], prompt=True).text == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nSay hi.\n\n### Response:\n"
    )


def test_marks_the_answers():
    rendered = text_of([Message("system", "Be kind."), *TURNS, *TURNS])
    assert rendered.text.startswith("Be kind.\n\n### Instruction:\n")
    assert [rendered.text[a:b] for a, b, _ in rendered.spans] == ["Hi.</s>"] * 2


def test_needs_an_end_token():
    with pytest.raises(InputError, match="end token"):
        text_of(TURNS, eos=None)
