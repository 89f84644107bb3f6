"""Templates: the mask is what the model writes."""

from __future__ import annotations

from collections.abc import Sequence

from ft.api import Conversation, Message, Rendered, ToolCall
from ft.conformance.check import check
from ft.conformance.conversations import (
    ANSWERS,
    CALL_ID,
    WEATHER,
    answers_of,
    assistant,
    describe,
    dialog,
    user,
)
from ft.conformance.rendering import Rendering, around, end_of_turn
from ft.conformance.subject import Subject
from ft.conformance.tiny import tiny_tokenizer


@check("template")
def mask(subject: Subject) -> None:
    """The mask is what the model writes: each answer with its terminator, and nothing else.

    Why: a model that is not trained on its terminator never stops; one that is trained on the
    user's text learns to ask itself questions.

    Passes: there is one span for each assistant message, in their order. It begins where the
    generation prompt ends that asks for that turn (at the answer, in an earlier turn which the
    template prompts for otherwise than it writes it), and ends after the string of ``stop``, or
    the end token, that closes the turn. What is expected comes from rendering the conversation
    up to each turn, not from the marks. So it is, where the format has them, for an empty answer,
    reasoning, a call and a turn behind a tool's result.

    Fails: a mask that is shifted by one; a terminator left out of the loss; the second turn not
    marked; a newline after the terminator that the model never gets to write.

    Example: ``turn 2 ends at 'city.'|'<|end|>\\n', and its terminator '<|end|>' is left out``.
    """
    rendering = Rendering(subject)
    for conversation in rendering.dialogs():
        rendered = rendering.render(conversation)
        answers = answers_of(conversation)
        assert len(rendered.spans) == len(answers), (
            f"{len(rendered.spans)} spans for {len(answers)} answers in {describe(conversation)}"
        )
        for (turn, message), (start, end, _) in zip(answers, rendered.spans, strict=True):
            _assert_span(rendering, conversation, rendered.text, turn, message, start, end)
    for conversation in _with_more(rendering):
        _assert_last_span(rendering, conversation)


def _with_more(rendering: Rendering) -> list[Conversation]:
    """Conversations whose last turn is empty, thought about, or a call."""
    call = assistant(tool_calls=[ToolCall("get_weather", {"city": "Oslo"}, id=CALL_ID)])
    result = Message("tool", "Result.", name="get_weather", tool_call_id=CALL_ID)
    found = [
        *([dialog("")] if rendering.has_empty_answers else []),
        Conversation(messages=[user("Hi"), assistant("3", reasoning="One and two.")]),
        Conversation(messages=[user("Hi"), call], tools=[WEATHER]),
        Conversation(messages=[user("Hi"), call, result, assistant("Yes.")], tools=[WEATHER]),
    ]
    return [conversation for conversation in found if rendering.takes(conversation)]


def _assert_last_span(rendering: Rendering, conversation: Conversation) -> None:
    rendered, answers = rendering.render(conversation), answers_of(conversation)
    assert len(rendered.spans) == len(answers), (
        f"{len(rendered.spans)} spans for {len(answers)} answers in {describe(conversation)}"
    )
    start, end, _ = rendered.spans[-1]
    prompt = rendering.prompt_before(conversation, answers[-1][0])
    assert start == len(prompt) or not rendered.text.startswith(prompt), (
        f"the last turn of {describe(conversation)} begins at {around(rendered.text, start)}, and "
        f"the model writes from {around(rendered.text, len(prompt))}"
    )
    behind = _behind_the_last_turn(rendering)
    ends = len(rendered.text) - len(behind or "")
    assert end == ends or behind is None or not rendered.text.endswith(behind), (
        f"the last turn of {describe(conversation)} ends at {around(rendered.text, end)}, and the "
        f"model writes up to {around(rendered.text, ends)}"
    )
    for a, b, _ in rendered.spans:
        assert "Result." not in rendered.text[a:b], "the result of a tool is trained on"


def _behind_the_last_turn(rendering: Rendering) -> str | None:
    """What a format writes behind the terminator of a last turn, such as a newline."""
    text = rendering.render(dialog(ANSWERS[0])).text
    ends = end_of_turn(text, text.find(ANSWERS[0]) + len(ANSWERS[0]), rendering.stops)
    return None if ends is None else text[ends:]


def _assert_span(
    rendering: Rendering,
    conversation: Conversation,
    text: str,
    turn: int,
    message: Message,
    start: int,
    end: int,
) -> None:
    at = text.find(str(message.content))
    assert at >= 0, f"the text of turn {turn + 1}, {message.content!r}, is not rendered"
    prompt = rendering.prompt_before(conversation, turn)
    begins = len(prompt) if text.startswith(prompt) else at
    assert start == begins, (
        f"turn {turn + 1} begins at {around(text, start)}, and the model writes from "
        f"{around(text, begins)}"
    )
    content_ends = at + len(message.content)
    ends = end_of_turn(text, content_ends, rendering.stops)
    if ends is None:  # what the turn ends with is not in `stop`, which is another check's
        assert end > content_ends, (
            f"turn {turn + 1} ends at {around(text, end)}, with no terminator"
        )
        return
    closing = text[content_ends:ends]
    assert end >= ends, (
        f"turn {turn + 1} ends at {around(text, end)}, and its terminator {closing!r} is left out"
    )
    assert end == ends, (
        f"turn {turn + 1} ends at {around(text, end)}, and the model has stopped after {closing!r}"
    )


@check("template")
def control_tokens_as_content(subject: Subject) -> None:
    """Control tokens in a content are content: they neither make a span nor end one.

    Why: rows from the web hold such tokens. Where spans are searched for in the rendered text,
    a user who types one decides what the model is trained on.

    Passes: with a whole rendered dialog as the user's text, as system text and as an answer
    there is still one span for each assistant message, and each holds all of its answer.

    Fails: spans that a regular expression finds; an answer whose span ends at the first ``stop``
    string inside of it.

    Example: ``2 spans for 1 answers, where somebody types '<|assistant|>\\nInjected.<|end|>'``.
    """
    rendering = Rendering(subject)
    typed = rendering.render(dialog("Injected.")).text.strip()
    stop = rendering.stops[0]
    tried = [
        Conversation(messages=[user(typed), assistant("Yes.")]),
        Conversation(messages=[user(f"{typed}\n{stop}"), assistant("Yes."), user("?")]),
        Conversation(messages=[user("Hi"), assistant(f"Before {stop} after.")]),
    ]
    if "system-text" in rendering.words:
        tried.append(Conversation(messages=[Message("system", typed), *tried[0].messages]))
    for conversation in tried:
        rendered = rendering.render_or_none(conversation)
        if rendered is None:
            continue  # a format may refuse such content
        answers = answers_of(conversation)
        assert len(rendered.spans) == len(answers), (
            f"{len(rendered.spans)} spans for {len(answers)} answers, where somebody types "
            f"{typed[-40:]!r}"
        )
        for (_, message), (start, end, _) in zip(answers, rendered.spans, strict=True):
            covered = rendered.text[start:end]
            assert str(message.content) in covered, (
                f"the span {covered!r} does not hold all of the answer {message.content!r}"
            )


@check("template")
def train_and_weight(subject: Subject) -> None:
    """``train`` and ``weight`` of a message reach its span.

    Why: data sets mark turns that must not be learnt, such as a wrong first attempt. A template
    that marks them all teaches them.

    Passes: of three answers the one with ``train: false`` has no span, and the others have those
    that they have without these settings, with their weights.

    Fails: an ``ft_render`` of one's own that makes spans and does not look at the messages.

    Example: ``the spans are 'Oslo is a city.<|end|>' (1.0), …, and the first answer says
    train: false``.
    """
    rendering = Rendering(subject)
    plain = rendering.render(dialog(*ANSWERS))
    marked = dialog(*ANSWERS)
    first, second, _ = (message for _, message in answers_of(marked))
    first.train, second.weight = False, 0.5
    rendered = rendering.render(marked)
    said = ", ".join(f"{rendered.text[a:b]!r} ({w})" for a, b, w in rendered.spans)
    bounds = [(start, end) for start, end, _ in plain.spans]
    assert [(a, b) for a, b, w in rendered.spans if w] == bounds[1:], (
        f"the spans are {said}, and the first answer says train: false"
    )
    weights = [weight for _, _, weight in rendered.spans if weight]
    assert weights == [0.5, 1.0], (
        f"the spans are {said}, and the answers have the weights 0.5 and 1.0"
    )
    again = dialog(*ANSWERS)
    again.messages[1].weight = 0.0
    assert [(a, b) for a, b, w in rendering.render(again).spans if w] == bounds[1:], (
        "an answer of weight 0 has a span"
    )


@check("template")
def tokens(subject: Subject) -> None:
    """The trained tokens are the spans, to the first and to the last.

    Why: a tokenizer joins characters. Where a span begins inside of a token, the model is
    trained on a token that it will never be asked to write, and is asked after another one.

    Passes: with a byte-level tokenizer that has the format's control tokens, the tokens of each
    span decode to exactly its text, and the tokens of the generation prompt are the first ones of
    the whole.

    Fails: a prompt that ends with a space, which a tokenizer joins with the word behind it.

    Example: ``the trained tokens are [' Oslo is a city.<|end|>'], and the spans are ['Oslo is a
    city.<|end|>']``.
    """
    tokenizer = tiny_tokenizer(600, subject.plugin, {})  # type: ignore[arg-type]
    rendering = Rendering(subject)
    run = rendering.run
    run.tokenizer = run.processor = tokenizer
    run.template_variables = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
    last = dialog("Paris.", "42", *([""] if rendering.has_empty_answers else []))
    for conversation in [*rendering.dialogs(), last]:
        rendered = rendering.render(conversation)
        (row,) = run.tokenize([rendered])
        wanted = [rendered.text[start:end] for start, end, _ in rendered.spans]
        found = [tokenizer.decode(ids) for ids in _stretches(row.input_ids, row.weights)]
        assert found == wanted, f"the trained tokens are {found}, and the spans are {wanted}"
        start = rendered.spans[-1][0]
        (before,) = run.tokenize([Rendered(rendered.text[:start])])
        assert row.input_ids[: len(before)] == before.input_ids, (
            f"before the answer the tokens are others than those of the text up to "
            f"{around(rendered.text, start)}"
        )


def _stretches(ids: Sequence[int], weights: Sequence[float]) -> list[list[int]]:
    """The ids that are trained on, in stretches without a gap."""
    found: list[list[int]] = []
    before = 0.0
    for id, weight in zip(ids, weights, strict=True):
        if weight and not before:
            found.append([])
        if weight:
            found[-1].append(id)
        before = weight
    return found
