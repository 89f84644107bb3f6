"""The chat format and the tokenizer: what is rendered is read back, and bytes stay bytes."""

import json

import pytest

from ft.api import Message, ToolCall
from ft_model_refrain import template
from ft_model_refrain.tokenizer import CONTROL, make_tokenizer

CALLS = [ToolCall("get_weather", {"city": "Zürich", "days": 2}), ToolCall("now", {})]
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def render(messages, tools=None, **more):
    """As transformers does it when it serves the model."""
    return make_tokenizer(512).apply_chat_template(
        [message.as_template_input() for message in messages],
        tools=tools,
        chat_template=template.jinja,
        tokenize=False,
        **more,
    )


def test_renders_turns_system_text_and_tools():
    turns = [Message("user", "Hi"), Message("assistant", "Hello."), Message("tool", "3")]
    text = render([Message("system", "Be brief."), *turns], [ADD], add_generation_prompt=True)
    assert text == (
        "<|turn|>system\nBe brief.\n\nFunctions that you can call:\n"
        f"{json.dumps(ADD)}<|over|>\n"
        "<|turn|>user\nHi<|over|>\n"
        "<|turn|>assistant\nHello.<|over|>\n"
        "<|turn|>tool\n3<|over|>\n"
        "<|turn|>assistant\n"
    )
    assert render(turns[:1], [ADD]).startswith("<|turn|>system\nFunctions")
    assert render(turns[:1]) == "<|turn|>user\nHi<|over|>\n"


@pytest.mark.parametrize(
    "answer",
    [
        Message("assistant", "Hello."),
        Message("assistant", ""),
        Message("assistant", "two\n\nparagraphs\n"),
        Message("assistant", "3", reasoning="one and\n\ntwo"),
        Message("assistant", "", reasoning="call it", tool_calls=CALLS[:1]),
        Message("assistant", "I look.", tool_calls=CALLS),
    ],
)
def test_reads_back_what_it_renders(answer):
    asked = [Message("user", "Hi")]
    written = render([*asked, answer]).removeprefix(render(asked, add_generation_prompt=True))
    assert template.ft_parse_answer(written.removesuffix("<|over|>\n")) == answer


@pytest.mark.parametrize("text", ['<|call|>{"name": ', "<|call|>3", '<|call|>{"name": "now"}'])
def test_keeps_a_broken_call_as_text(text):
    assert template.ft_parse_answer(text) == Message("assistant", text)


def test_thoughts_that_were_cut_off_say_nothing():
    found = template.ft_parse_answer("<|think|>one and")
    assert found == Message("assistant", "", reasoning="one and")


def test_a_token_is_a_byte_or_a_control_string():
    tokenizer = make_tokenizer(512)
    text = "<|turn|>user\nnaïve 東京 \t\x00🙂<|over|>\n"
    encoded = tokenizer(text, return_offsets_mapping=True)
    plain = text.replace("<|turn|>", "").replace("<|over|>", "")
    assert len(encoded["input_ids"]) == len(plain.encode()) + 2
    assert tokenizer.decode(encoded["input_ids"]) == text
    assert encoded["offset_mapping"][0] == (0, 8)
    assert encoded["offset_mapping"][-1] == (len(text) - 1, len(text))
    assert len(tokenizer) == 256 + len(CONTROL) == 262
