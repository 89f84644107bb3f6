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


def test_system_text_takes_the_place_of_the_first_sentence():
    rendered = text_of([Message("system", "Be kind."), *TURNS])
    assert rendered.text.startswith("Be kind.\n\n### Instruction:\n")


def test_needs_an_end_token():
    with pytest.raises(InputError, match="end token"):
        text_of(TURNS, eos=None)
