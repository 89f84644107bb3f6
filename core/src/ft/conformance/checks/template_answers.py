"""Templates: what the model writes is read back as what was rendered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ft.api import Conversation, Message, ToolCall
from ft.conformance.bench import refusal
from ft.conformance.check import NotRun, check
from ft.conformance.conversations import (
    CALL_ID,
    WEATHER,
    assistant,
    describe,
    dialog,
    user,
)
from ft.conformance.rendering import Rendering, gist, say
from ft.conformance.subject import Subject
from ft.conformance.tiny import control_tokens

SAY = {
    "type": "function",
    "function": {
        "name": "say",
        "description": "Says a text aloud",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
    },
}
NOW = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The present time",
        "parameters": {"type": "object", "properties": {}},
    },
}
TOOLS = [WEATHER, NOW, SAY]
OSLO = ToolCall("get_weather", {"city": "Oslo"}, id=CALL_ID)
PLAIN = (
    *("Yes.", "", "two\n\nparagraphs", "naïve 東京 🎉", "1 < 2 & 3", "3", "null", '"quoted"'),
    *('{"a": 1}', "[1, 2]", "1. one\n2. two", "get_weather(city='Oslo')", "``` \n{}\n```"),
)


@check("template")
def plain_answers(subject: Subject) -> None:
    """A plain answer parses back to itself.

    Why: what an engine generates goes through ``ft_parse_answer`` before a reward or a user
    sees it. A parser that takes JSON for a call loses answers that are JSON.

    Passes: texts of all sorts, JSON and numbers among them, are rendered as the last turn, and
    what the model writes there parses to a message of the assistant with that content, no call
    and no reasoning. The empty answer is left out where the template refuses it.

    Fails: a parser that strips content which the format keeps; one that takes any JSON object
    for a call.

    Example: ``the answer '{"a": 1}' parses to content '', call call({'a': 1})``.
    """
    rendering = Rendering(subject)
    for text in PLAIN if rendering.has_empty_answers else filter(None, PLAIN):
        conversation = dialog(text)
        parsed = rendering.parse(rendering.written(conversation))
        assert gist(parsed) == gist(assistant(text)), f"the answer {text!r} parses to {say(parsed)}"


def _tools_are_refused(subject: Subject) -> None:
    rendering = Rendering(subject)
    result = Message("tool", "4 °C", name="get_weather")
    plain = dialog("Yes.").messages
    for what, conversation in {
        "tools on offer": Conversation(messages=plain, tools=[WEATHER]),
        "a tool call": Conversation(messages=[user("Hi"), assistant(tool_calls=[OSLO])]),
        "the result of a tool": Conversation(messages=[*plain, result, assistant("Cold.")]),
    }.items():
        with refusal(f"a conversation with {what}"):
            rendering.render(conversation)


@check("template", needs="tools", refuses=_tools_are_refused)
def tool_calls(subject: Subject) -> None:
    """Tools are rendered, and a call parses back to what was rendered.

    Why: Jinja leaves out what a template does not ask for, without a word. A format that knows no
    tools trains on empty answers, and one whose calls cannot be read back never calls anything.

    Passes: names and descriptions of all tools on offer are rendered, and so is a tool's result;
    calls with no argument, with text (quotes, newlines and control tokens in it) and with
    numbers, lists and objects parse back to the same name and to arguments equal in value and
    type. A form that the template refuses (several calls, say) is left out; one call with one
    text must be possible. A template without the capability ``tools`` refuses tools, calls and
    results, each with an ``ft.api.InputError``.

    Fails: arguments that come back as a JSON string; a schema that is not shown; a template that
    says nothing of ``tools`` and renders such a conversation as if they were not there.

    Example: ``content '', call get_weather({'city': 'Oslo'}) parses to content '', call
    get_weather('{"city": "Oslo"}')``.
    """
    rendering = Rendering(subject)
    _assert_shown(rendering)
    stop = rendering.stops[0]
    texts = ['a "b", c="d"', f"one\ntwo {stop} </tool_call>\n", "7", "{}", "", "naïve 東京"]
    values = {"city": "Zürich", "days": 2, "deep": {"a": [1, None, True, 0.5, "x"]}}
    others = [
        [ToolCall("now", {}, id=CALL_ID)],
        [ToolCall("get_weather", values, id=CALL_ID)],
        *([ToolCall("say", {"text": text}, id=CALL_ID)] for text in texts),
        [OSLO, ToolCall("now", {}, id=CALL_ID)],
    ]
    _assert_parses(rendering, assistant(tool_calls=[OSLO]), required=True)
    for calls in others:
        _assert_parses(rendering, assistant(tool_calls=calls))
    _assert_parses(rendering, assistant("I look.", tool_calls=[OSLO]))


def _assert_shown(rendering: Rendering) -> None:
    # the call is another than those on offer, whose names have to come from their schemas
    turns = [user("Hi"), assistant(tool_calls=[ToolCall("call", {}, id=CALL_ID)])]
    result = Message("tool", "4 °C", name="call", tool_call_id=CALL_ID)
    conversation = Conversation(messages=[*turns, result, assistant("It is cold.")], tools=TOOLS)
    rendered = rendering.render(conversation)
    functions: list[dict[str, Any]] = [tool["function"] for tool in TOOLS]  # type: ignore[misc]
    wanted = [f["name"] for f in functions]
    wanted += [f["description"].split()[0] for f in functions if "description" in f]
    for text in [*wanted, "4 °C"]:
        assert text in rendered.text, f"{text!r} is not rendered in {describe(conversation)}"


def _assert_parses(rendering: Rendering, answer: Message, required: bool = False) -> None:
    conversation = Conversation(messages=[user("Hi"), answer], tools=TOOLS)
    if not required and rendering.render_or_none(conversation) is None:
        return
    written = rendering.written(conversation)
    if answer.content and str(answer.content) not in written:
        return  # a format in which a turn is either text or a call
    parsed = rendering.parse(written, TOOLS)
    assert gist(parsed) == gist(answer), f"{say(answer)} parses to {say(parsed)}"


def _reasoning_is_refused(subject: Subject) -> None:
    rendering = Rendering(subject)
    with refusal("a conversation with reasoning"):
        rendering.render(
            Conversation(messages=[user("Hi"), assistant("3", reasoning="One and two.")])
        )


@check("template", needs="reasoning", refuses=_reasoning_is_refused)
def reasoning(subject: Subject) -> None:
    """Reasoning of the last turn is trained on, and parses back.

    Why: reasoning is what such data is made for. Where it is dropped on the way in, the model
    learns to answer without; where it is not split off on the way out, it is shown and scored
    as part of the answer.

    Passes: the reasoning of the last turn stands in what the model writes there, and that parses
    to the same reasoning and content, also beside a call where the format has tools. A template
    without the capability ``reasoning`` refuses it with an ``ft.api.InputError``.

    Fails: a parser that leaves the reasoning in the content, or drops it; a template that says
    nothing of ``reasoning`` and renders the answer alone.

    Example: ``content '3', reasoning 'One and two.' parses to content '3'``.
    """
    rendering = Rendering(subject)
    answers = [
        assistant("3", reasoning="One and two."),
        assistant("a\n\nb", reasoning="One.\n\nTwo <b>.\n- three"),
        assistant("", reasoning="Nothing to say."),
    ]
    if "tools" in rendering.words:
        answers.append(assistant(reasoning="I have to look.", tool_calls=[OSLO]))
    for answer in answers:
        tools = TOOLS if answer.tool_calls else []
        conversation = Conversation(messages=[user("Hi"), answer], tools=tools)
        written = rendering.written(conversation)
        assert str(answer.reasoning) in written, (
            f"the reasoning is not in what the model writes in {describe(conversation)}"
        )
        parsed = rendering.parse(written, tools)
        assert gist(parsed) == gist(answer), f"{say(answer)} parses to {say(parsed)}"


MARK = "Ftmark"
"""A word that stands in broken answers, and has to turn up in what they parse to."""


@check("template")
def broken_answers(subject: Subject) -> None:
    """Whatever a model writes parses to a message, and nothing of it is lost.

    Why: a half-trained model writes half a call. A parser that raises on it ends the run; one
    that drops it hides from the reward, and from the user, what the model did.

    Passes: cut-off answers, calls and thoughts, calls whose JSON is broken, of a wrong type or
    nested without end, control tokens in any order, and text that hypothesis makes up: each
    parses to a message of the assistant with text as its content and calls that have a name
    and an object of arguments; what cannot be read as a call stays as text. Without hypothesis the
    check does not run.

    Fails: a parser that raises ``json.JSONDecodeError``; one that cuts a call out before it
    knows that it can be read; ``ToolCall(**json.loads(text))``, which takes a list for arguments.

    Example: ``'<tool_call>\\n{"name": "say", "argum' raises JSONDecodeError: Unterminated
    string``.
    """
    rendering = Rendering(subject)
    for text in dict.fromkeys(_broken(rendering)):
        _assert_kept(rendering, text)
    if subject.sample == subject.plugin.samples[0]:  # parsing hardly depends on options
        control = control_tokens(rendering.template)
        _try_any_text(control, lambda text: _assert_kept(rendering, text))


def _broken(rendering: Rendering) -> Iterator[str]:
    """What a model may write by mistake, made from what it should have written."""
    whole = [f"{MARK} is an answer."]
    if "reasoning" in rendering.words:
        answer = assistant(f"{MARK} two", reasoning=f"{MARK} one\n\nmore")
        whole.append(rendering.written(Conversation(messages=[user("Hi"), answer])))
    if "tools" in rendering.words:
        call = ToolCall("say", {"text": MARK}, id=CALL_ID)
        turns = [user("Hi"), assistant(tool_calls=[call])]
        written = rendering.written(Conversation(messages=turns, tools=TOOLS))
        whole.append(written)
        yield from _bad_calls(written)
    for text in whole:
        yield from (text[:n] for n in range(len(text)))
        yield from (text[n:] for n in range(1, len(text)))
        yield text + text
    yield "".join(control_tokens(rendering.template)) + MARK


def _bad_calls(written: str) -> Iterator[str]:
    """A call with other JSON in the place of its arguments, of its name, or of all of it."""
    arguments = json.dumps({"text": MARK})
    values = [json.dumps(value) for value in (MARK, [MARK], [{"a": MARK}], None, 3, True, [], "")]
    for value in [*values, f'{{"text": {MARK}}}', f"{{{MARK}", "[" * 100_000, "NaN", "9" * 5000]:
        yield written.replace(arguments, value)
        yield written.replace('"say"', value)
    yield written.replace('"say"', f'"say", "more": "{MARK}"')
    start, end = written.find("{"), written.rfind("}") + 1
    for value in [*values, "{}", f'{{"{MARK}": 1}}', f'{{"name": "{MARK}"}}']:
        yield written[:start] + value + written[end:]


def _assert_kept(rendering: Rendering, text: str) -> None:
    shown = repr(text if len(text) < 200 else f"{text[:80]} …")
    try:
        parsed = rendering.parse(text, TOOLS)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise AssertionError(f"{shown} raises {type(error).__name__}: {first}") from error
    assert isinstance(parsed, Message), f"{shown} parses to {type(parsed).__name__}"
    assert parsed.role == "assistant", f"{shown} parses to a message of role {parsed.role!r}"
    assert isinstance(parsed.content, str), f"{shown} parses to the content {parsed.content!r}"
    for call in parsed.tool_calls:
        sound = isinstance(call.name, str) and isinstance(call.arguments, Mapping)
        assert sound, f"{shown} parses to the call {call!r}, without a name or arguments"
    kept = f"{parsed.content}{parsed.reasoning}"
    kept += "".join(f"{call.name}{call.arguments}" for call in parsed.tool_calls)
    lost = text.count(MARK) - kept.count(MARK)
    assert lost <= 0, f"{shown} parses to {say(parsed)}, and {MARK} is lost"


def _try_any_text(control: tuple[str, ...], attempt: Callable[[str], None]) -> None:
    """Texts of Unicode, of control tokens and of pieces of JSON, in any order."""
    try:
        import hypothesis
        from hypothesis import strategies as st
    except ImportError as error:
        raise NotRun(
            "hypothesis makes up answers: pip install ft-core[conformance] brings it"
        ) from error
    pieces = (
        *control,
        "\n",
        "{",
        "}",
        '"name": "say"',
        '"arguments": {}',
        '"parameters": []',
        MARK,
    )
    texts = st.text() | st.lists(st.sampled_from(pieces) | st.text(max_size=4)).map("".join)
    hypothesis.settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(hypothesis.given(texts)(attempt))()
