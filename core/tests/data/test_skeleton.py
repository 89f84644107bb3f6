"""A template that is rendered once gives for every row what it gives when rendered anew."""

import random

import pytest

from ft.api import Conversation, InputError, Message
from ft.data.render import _run_template, _run_whole_template
from ft.data.skeleton import passes_contents_on

PLAIN = """\
{%- for message in messages %}
    {%- if loop.first and messages[0]['role'] != 'system' %}
        {{- 'Be brief.' ~ eos_token }}
    {%- endif %}
    {{- '<' + message.role + '>' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}{{- message['content'] + eos_token }}{% endgeneration %}
    {%- else %}
        {{- (message.content | trim) ~ eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<assistant>' }}{% endif %}
"""
LOOKS = [
    "{% for m in messages %}{% if m.content %}{{ m.content }}{% endif %}{% endfor %}",
    "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    "{% for m in messages %}{{ m.content.strip() }}{% endfor %}",
    "{% for m in messages %}{{ 'a' if 'x' in m.content else m.content }}{% endfor %}",
    "{% for m in messages %}{{ (m.content + 'a') | trim }}{% endfor %}",
    "{% for m in messages %}{{ (m.content + 'a') == 'ba' }}{% endfor %}",
    "{% for m in messages %}{{ m.content[0] }}{% endfor %}",
    "{% for m in messages %}{{ m | tojson }}{% endfor %}",
    "{% for m in messages %}{% set c = m.content %}{{ c | length }}{% endfor %}",
    "{% for m in messages if m.content %}{{ m.role }}{% endfor %}",
    "{% for m in messages %}{{ loop.previtem.content if not loop.first }}{% endfor %}",
    "{% for m in messages[1:] %}{{ m.content }}{% endfor %}",
    "{% for m in messages %}{% for c in m.content %}{{ c }}.{% endfor %}{% endfor %}",
    "{% set all = messages %}{{ all | length }}",
    "{% set c %}{{ messages[0].content }}{% endset %}{{ c | length }}",
    "{% macro w(c) %}{{ c }}{% endmacro %}{{ w(messages[0].content) }}",
    "{{ messages[0].content }}{{ strftime_now('%d') }}",
    "{{ {messages[0].content: 1} }}",
    "{{ messages[0].content in 'abc' }}",
    "{{ messages[0].content * 2 }}",
    "{{ [messages[0].content] }}",
]
CONTENTS = ["", " ", "x", " a\n", "\n\n", "{{ messages }}", "\0", "\x1f0\x1f", "\0" + "1\0", "é🎉"]


def render(run, messages, prompt, jinja=PLAIN):
    given = [message.as_template_input() for message in messages]
    return run(jinja, given, Conversation(messages=messages), prompt, {"eos_token": "</s>"})


@pytest.mark.parametrize("prompt", [False, True])
def test_every_conversation_comes_out_the_same(prompt):
    assert passes_contents_on(PLAIN)
    draw = random.Random(1)
    for _ in range(500):
        messages = [
            Message(draw.choice(["system", "user", "assistant"]), draw.choice(CONTENTS))
            for _ in range(draw.randint(1, 5))
        ]
        assert render(_run_template, messages, prompt) == (
            render(_run_whole_template, messages, prompt)
        )


@pytest.mark.parametrize("jinja", LOOKS)
def test_a_template_that_looks_at_contents_is_rendered_each_time(jinja):
    assert not passes_contents_on(jinja)
    for content in CONTENTS[2:]:
        turns = [Message("user", content), Message("assistant", f"{content}x")]
        assert render(_run_template, turns, False, jinja) == (
            render(_run_whole_template, turns, False, jinja)
        )


def test_a_refusal_names_the_row():
    jinja = "{% for m in messages %}{{ raise_exception('no ' + m.role) }}{% endfor %}"
    assert passes_contents_on(jinja)
    with pytest.raises(InputError, match="no user"):
        render(_run_template, [Message("user", "a")], False, jinja)
