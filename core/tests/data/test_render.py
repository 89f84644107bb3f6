from types import SimpleNamespace

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from ft.api import Conversation, InputError, Message, Origin, Part, Template, ToolCall
from ft.data.render import (
    PROBES,
    _run_template,
    agrees,
    default_render,
    first_difference,
    has_marks,
    render,
    render_own,
    template_messages,
    unmarked,
)

MARKED = """\
{%- for message in messages %}
    {{- '<' + message.role + '>' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
            {{- message.content + '<end>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message.content + '<end>' }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<assistant>' }}
{%- endif %}
"""
TURNS = [
    Message("user", "one"),
    Message("assistant", "two"),
    Message("user", "three"),
    Message("assistant", "four"),
]


def rendered(messages, jinja=MARKED, prompt=False, **variables):
    conversation = Conversation(messages=messages, origin=Origin("a.json", 3))
    return render(jinja, conversation, generation_prompt=prompt, variables=variables)


def rendered_own(messages, jinja, prompt=False, terminators=(), **variables):
    conversation = Conversation(messages=messages, origin=Origin("a.json", 3))
    return render_own(
        jinja,
        conversation,
        generation_prompt=prompt,
        variables=variables,
        terminators=terminators,
    )


def trained(result):
    return [(result.text[start:end], weight) for start, end, weight in result.spans]


def run_with(chat_template, **variables):
    tokenizer = SimpleNamespace(
        chat_template=chat_template, get_added_vocab=lambda: {"<end>": 0, "<user>": 1}
    )
    return SimpleNamespace(tokenizer=tokenizer, processor=tokenizer, template_variables=variables)


class TestMarks:
    def test_spans_are_the_marked_stretches(self):
        assert trained(rendered(TURNS)) == [("two<end>", 1.0), ("four<end>", 1.0)]

    def test_an_untrained_turn_has_no_span(self):
        turns = [TURNS[0], Message("assistant", "two", train=False), *TURNS[2:]]
        assert trained(rendered(turns)) == [("four<end>", 1.0)]

    def test_weights(self):
        turns = [
            TURNS[0],
            Message("assistant", "two", weight=0.5),
            TURNS[2],
            Message("assistant", "four", weight=0),
        ]
        assert trained(rendered(turns)) == [("two<end>", 0.5)]

    def test_a_prompt_has_no_spans(self):
        result = rendered(TURNS[:3], prompt=True)
        assert result.text.endswith("<assistant>")
        assert result.spans == ()

    def test_origin_and_media_come_along(self):
        image = Part("image", source="x.png")
        jinja = (
            "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
            "{% for p in m.content %}{{ p.text if p.type == 'text' else '<image>' }}{% endfor %}"
            "{% endif %}{% endfor %}"
        )
        result = rendered([Message("user", [image, Part("text", "Look")])], jinja)
        assert result.text == "<image>Look"
        assert result.media == [image]
        assert str(result.origin) == "a.json row 3"

    def test_spans_that_fit_no_message_are_an_error_where_it_matters(self):
        jinja = "{% generation %}x{% endgeneration %}"
        assert trained(rendered(TURNS, jinja)) == [("x", 1.0)]
        with pytest.raises(InputError, match="1 stretches for 2"):
            rendered([*TURNS[:3], Message("assistant", "four", weight=2)], jinja)

    def test_the_templates_own_words_and_the_row_are_in_the_error(self):
        with pytest.raises(InputError, match="no tools here") as caught:
            rendered(TURNS, "{{ raise_exception('no tools here') }}")
        assert caught.value.where == "a.json row 3"

    def test_any_error_of_a_template_is_an_input_error(self):
        with pytest.raises(InputError, match="concatenate"):
            rendered(TURNS, "{{ 'a' + 1 }}")

    def test_tools_are_none_where_there_are_none(self):
        assert rendered(TURNS, "{{ tools is none }}").text == "True"

    def test_reasoning_and_tool_calls_are_as_transformers_shows_them(self):
        turn = Message("assistant", "a", reasoning="r", tool_calls=[ToolCall("f", {"é": 1})])
        jinja = (
            "{{ messages[0].reasoning_content }} {{ messages[0].thinking }} "
            "{{ messages[0].tool_calls[0].function | tojson }}"
        )
        assert rendered([turn], jinja).text == 'r r {"name": "f", "arguments": {"é": 1}}'


class TestContentForms:
    STRINGS = "{% for m in messages %}{{ m.content if m.content is string else '' }}{% endfor %}"
    PARTS = "{% for m in messages %}{% for p in m.content %}{{ p['text'] }}{% endfor %}{% endfor %}"

    def test_a_template_for_strings_gets_a_string(self):
        turn = Message("user", [Part("text", "a"), Part("text", "b")])
        assert rendered([turn], self.STRINGS).text == "ab"

    def test_a_template_for_parts_gets_parts(self):
        assert rendered([Message("user", "ab")], self.PARTS).text == "ab"

    def test_an_image_is_never_dropped_silently(self):
        with pytest.raises(InputError, match="type image"):
            rendered([Message("user", [Part("image", source="x.png")])], self.STRINGS)


class TestUnmarked:
    @pytest.mark.parametrize("left", ["", "-", "+"])
    @pytest.mark.parametrize("right", ["", "-", "+"])
    @pytest.mark.parametrize(
        "around", ["{}{}", " {} a {} ", "\n  {}\n\n  a\n  {}\n\n  b", "\t{}\na{}\n"]
    )
    def test_renders_identically(self, left, right, around):
        jinja = "x" + around.format(
            f"{{%{left} generation {right}%}}", f"{{%{left} endgeneration {right}%}}"
        )
        bare = unmarked(jinja)
        assert not has_marks(bare)
        assert rendered(TURNS, bare).text == rendered(TURNS, jinja).text

    def test_marks_within_comments_are_left_alone(self):
        jinja = "{# marks are {% generation %} and {% endgeneration %} #}a"
        assert not has_marks(jinja)
        assert unmarked(jinja) == jinja

    def test_whole_template(self):
        assert has_marks(MARKED)
        for prompt in (False, True):
            assert rendered(TURNS, unmarked(MARKED), prompt).text == (
                rendered(TURNS, MARKED, prompt).text
            )


class TestOwn:
    def test_equals_the_marked_template(self):
        ours = rendered(TURNS)
        own = rendered_own(TURNS, unmarked(MARKED), terminators=["<end>"])
        assert own.text == ours.text
        assert list(own.spans) == list(ours.spans)

    def test_ends_at_the_eos_token(self):
        own = rendered_own(TURNS, unmarked(MARKED), eos_token="<end>")
        assert trained(own) == [("two<end>", 1.0), ("four<end>", 1.0)]

    def test_white_space_stays_where_no_terminator_is_known(self):
        own = rendered_own(TURNS, unmarked(MARKED))
        assert trained(own)[0] == ("two<end>\n", 1.0)

    def test_a_prompt_has_no_spans(self):
        own = rendered_own(TURNS[:3], unmarked(MARKED), prompt=True)
        assert own.text.endswith("<assistant>")
        assert not own.spans

    def test_a_template_that_rewrites_history_is_an_error(self):
        jinja = (
            "{% for m in messages %}<{{ m.role }}>{{ m.content if loop.last or m.role == 'user' "
            "else m.content | upper }}{% endfor %}{% if add_generation_prompt %}<assistant>"
            "{% endif %}"
        )
        with pytest.raises(InputError, match="turn 2 differently") as caught:
            rendered_own(TURNS, jinja)
        assert caught.value.where == "a.json row 3"
        last = [*TURNS[:1], Message("assistant", "two", train=False), *TURNS[2:]]
        assert trained(rendered_own(last, jinja)) == [("four", 1.0)]

    def test_a_turn_without_what_the_prompt_opens_is_an_error(self):
        jinja = unmarked(MARKED).replace("{{- '<assistant>' }}", "{{- '<assistant><think>' }}")
        with pytest.raises(InputError, match="asks for an answer with '<think>'"):
            rendered_own(TURNS[:2], jinja)


class TestDefault:
    conversation = Conversation(messages=TURNS)

    def test_marked(self):
        result = default_render(run_with(MARKED), self.conversation, False)
        assert trained(result)[0] == ("two<end>", 1.0)

    def test_unmarked_ends_at_an_added_token(self):
        result = default_render(run_with(unmarked(MARKED)), self.conversation, False)
        assert trained(result)[0] == ("two<end>", 1.0)

    def test_one_of_several_by_name(self):
        run = run_with({"default": "plain", "tool_use": "tools"})
        assert default_render(run, Conversation(messages=TURNS[:1]), True).text == "plain"
        with_tools = Conversation(messages=TURNS[:1], tools=[{"type": "function"}])
        assert default_render(run, with_tools, True).text == "tools"

    def test_no_template(self):
        with pytest.raises(InputError, match="no chat template") as caught:
            default_render(run_with(None), self.conversation, False)
        assert "template: <name>" in caught.value.hint


class TestAgrees:
    def plugin(self, jinja=MARKED):
        return Template(jinja).bind("test")

    def test_same(self):
        assert agrees(run_with(unmarked(MARKED)), self.plugin()) is True

    def test_no_own_template(self):
        assert agrees(run_with(None), self.plugin()) is True

    def test_different(self):
        own = unmarked(MARKED).replace("<end>", "</end>")
        answer = agrees(run_with(own), self.plugin())
        assert "one turn" in answer
        assert "</end>" in answer

    def test_prompts_alone(self):
        """Its own template leaves out the end of the last turn, and asks in the same way."""
        own = "{%- if not add_generation_prompt %}{{- 'x' }}{% endif %}" + unmarked(MARKED)
        assert "one turn" in agrees(run_with(own), self.plugin())
        plugin = Template(MARKED, exact="prompts").bind("test")
        assert agrees(run_with(own), plugin) is True
        assert agrees(run_with("x" + unmarked(MARKED)), plugin) is not True

    def test_refused_by_one(self):
        own = "{% if tools %}{{ raise_exception('no') }}{% endif %}" + unmarked(MARKED)
        assert first_difference(unmarked(MARKED), own, {}) == (
            "a conversation with tools is refused by the second only"
        )


ELABORATE = """\
{%- if tools %}{{- tools | tojson }}{% endif %}
{%- for message in messages %}
    {{- '<' ~ message.role ~ '>' ~ (message.name or '') }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
            {{- message.reasoning_content or '' }}{{ message.thinking }}
            {{- message.content | trim }}
            {%- for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}
            {{- eos_token }}
        {%- endgeneration %}
    {%- else %}
        {{- message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<assistant>' }}{% endif %}{{ documents }}{{ odd }}
"""


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("jinja", [MARKED, ELABORATE, unmarked(ELABORATE)], ids=["", "all", "no"])
@pytest.mark.parametrize("name", PROBES)
def test_text_and_marks_are_those_of_transformers(name, jinja, prompt):
    class Odd(str):
        """A subclass, of which a template must see the text alone."""

    conversation = PROBES[name]
    variables = {"eos_token": "</s>", "odd": Odd("odd")}
    marked = has_marks(jinja) and not prompt
    (expected,), marks = render_jinja_template(
        conversations=[[message.as_template_input() for message in conversation.messages]],
        tools=[dict(tool) for tool in conversation.tools] or None,
        chat_template=jinja,
        return_assistant_tokens_mask=marked,
        add_generation_prompt=prompt,
        **variables,
    )
    found = _run_template(
        jinja, template_messages(jinja, conversation), conversation, prompt, variables
    )
    assert found == (expected, marks[0] if marked else [])
