"""Templates: the text is the published one, and a prompt asks for what was trained."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

from ft.api import Conversation, InputError
from ft.conformance.bench import refusal
from ft.conformance.check import NotRun, Skip, check
from ft.conformance.conversations import (
    SYSTEM,
    WEATHER,
    answers_of,
    assistant,
    conversations,
    conversations_with_media,
    describe,
    dialog,
    user,
)
from ft.conformance.guard import watch
from ft.conformance.published import explain, first_difference, published, text_of
from ft.conformance.rendering import Rendering, around, end_of_turn
from ft.conformance.subject import Subject
from ft.conformance.tiny import control_tokens
from ft.data.render import render, unmarked


@check("template")
def renders_alone(subject: Subject) -> None:
    """It renders and parses without a tokenizer and without a network.

    Why: data is rendered before a model is there, on machines that reach nothing, and twice the
    same; a date from a server or a file fetched from a hub breaks that.

    Passes: a conversation is rendered and its answer parsed in a run that has no tokenizer, no
    address is looked up and no file is written.

    Fails: a template that fetches its text when it is first used; one that asks
    ``run.tokenizer`` for an end token (``run.template_variables`` has it).

    Example: ``it looks for templates.example.org:443 while it renders``.
    """
    rendering = Rendering(subject)
    with watch(subject.folder) as seen:
        rendering.render(dialog("Yes."))
        rendering.parse("Yes.")
    assert not seen.connections, f"it looks for {seen.connections[0]} while it renders"
    assert not seen.written, f"it writes {seen.written[0]} while it renders"


@check("template")
def as_published(subject: Subject) -> None:
    """It renders byte for byte as the published template does.

    Why: a model has learnt its format to the byte. One newline more or less in every turn is
    a format that it has never seen, costs quality, and shows in no loss curve.

    Passes: for each checkpoint that ``published`` names, the text to be saved with the model
    renders what the published template renders, with and without generation prompt, over some
    hundreds of conversations: system text or none, several turns, tools and results, reasoning,
    nothing at all, Unicode, and the template's own control tokens as content; under each set
    of variables in ``samples``; with generation prompt alone where the template says that
    only prompts are ``exact``. So does ``ft_render`` with images and videos. What the published
    one refuses is refused; ``ft_render`` refuses besides what ``provides`` does not name. It is
    skipped where ``published`` is empty, and does not run where a named template is not to be
    found.

    Fails: a lost newline; a trimmed content that the published one leaves alone; a tool's schema
    in another order.

    Example: ``my-org/net: [user 'Hi', assistant 'Hi']: differs at character 24:
    '|>user\\nHi<|end|><|user|>', and published is '|>user\\nHi<|end|>\\n<|use'``.
    """
    rendering = Rendering(subject)
    if not rendering.template.published:
        raise Skip("it names no published template")
    missing = None
    originals: dict[str, str] = {}
    for checkpoint in rendering.template.published:
        try:
            # several checkpoints may share a text, which is compared once
            originals.setdefault(published(checkpoint), checkpoint)
        except NotRun as reason:
            missing = reason
    compared = [_compare(rendering, name, text) for text, name in originals.items()]
    subject.measure("renderings compared", sum(compared))
    if missing is not None:
        raise missing


def _compare(rendering: Rendering, checkpoint: str, original: str) -> int:
    """How many renderings equal those of a published template, all of them."""
    template, variables = rendering.template, rendering.variables
    examples = list(conversations(control_tokens(template)))
    compared, difference = first_difference(
        unmarked(template.jinja), original, examples, variables, template.compared
    )
    assert difference is None, f"{checkpoint}: {difference}"
    # its renderings of text are compared with those of `jinja` by served_as_trained
    examples = list(conversations_with_media(sound="audio" in original))
    for conversation, prompt in product(examples, template.compared):
        found = rendering.render_or_none(conversation, prompt)
        if found is None and not rendering.takes(conversation):
            continue
        expected = None
        with suppress(InputError):
            expected = render(
                original, conversation, generation_prompt=prompt, variables=variables
            ).text
        difference = explain(None if found is None else found.text, expected)
        assert not difference, f"{checkpoint}: {describe(conversation)}: {difference}"
        compared += expected is not None
    assert compared, f"the published template of {checkpoint} refuses every conversation"
    return compared


@check("template")
def served_as_trained(subject: Subject) -> None:
    """The template that is saved with the model renders what it was trained on.

    Why: the text of ``jinja`` without its marks is saved beside the weights, and a server
    renders with that. What Python code adds while training, the server does not add.

    Passes: for every conversation that ``ft_render`` takes, with and without generation prompt,
    its text is what transformers renders with ``jinja``, with the marks and without them.

    Fails: an ``ft_render`` that changes its text afterwards; a mark whose whitespace control
    (``{%- generation %}``) eats a newline that stands there without the mark.

    Example: ``[user 'Hi']: trained on '<|user|>\\nHi<|end|>' and served as
    '<|user|>\\nHi<|end|>\\n'``.
    """
    rendering = Rendering(subject)
    jinja, variables = rendering.template.jinja, rendering.variables
    tried = 0
    examples = conversations(control_tokens(rendering.template))
    for conversation, prompt in product(examples, (False, True)):
        trained = rendering.render_or_none(conversation, prompt)
        if trained is None:
            continue
        tried += 1
        for text in (unmarked(jinja), jinja):
            served = text_of(text, conversation, prompt, variables)
            assert served == trained.text, (
                f"{describe(conversation)}: trained on {trained.text[-60:]!r} and served as "
                f"{served[-60:] if served is not None else None!r}"
            )
    assert tried, "it refuses every conversation"


@check("template")
def stop_strings(subject: Subject) -> None:
    """One of ``stop`` ends each turn.

    Why: an engine stops at these strings. One that the format never writes lets it run on to
    the limit.

    Passes: behind each answer, white space apart, stands one of ``stop``, or the tokenizer's end
    token.

    Fails: ``stop`` of another format; an empty ``stop`` in a format that does not use the
    end token.

    Example: ``turn 2 goes on with '<|end|>\\n', which begins with none of '<|im_end|>',
    '</s>'``.
    """
    rendering = Rendering(subject)
    for conversation in rendering.dialogs():
        text = rendering.render(conversation).text
        for turn, message in answers_of(conversation):
            after = text.find(str(message.content)) + len(message.content)
            assert end_of_turn(text, after, rendering.stops) is not None, (
                f"turn {turn + 1} goes on with {text[after : after + 20]!r}, which begins with "
                f"none of {', '.join(map(repr, rendering.stops))}"
            )


@check("template")
def generation_prompt(subject: Subject) -> None:
    """Generation prompt and answer together are the whole.

    Why: an answer is generated after the prompt and trained on after what stands before it.
    Where the two differ, the model is asked in another way than it was taught.

    Passes: the rendering of a conversation begins with the prompt that asks for its last turn,
    and, unless the format has reasoning, which earlier turns may lose, with those that ask for the
    earlier ones. A prompt has no spans.

    Fails: a prompt without the newline that the turn has; a prompt for a thinking model that
    opens thoughts which the turn does not have.

    Example: ``the prompt for turn 2 and the turn part at '>\\n<|assistant|>'|' ': the conversation
    goes on with '\\nOslo is a city'``.
    """
    rendering = Rendering(subject)
    tried = rendering.dialogs()
    if "reasoning" in rendering.words and not rendering.template.options.variables:
        tried.append(Conversation(messages=[user("Hi"), assistant("Yes.", reasoning="Well.")]))
    for conversation in tried:
        whole = rendering.render(conversation).text
        answers = [turn for turn, _ in answers_of(conversation)]
        for turn in answers if "reasoning" not in rendering.words else answers[-1:]:
            prompt = rendering.prompt_before(conversation, turn)
            pairs = enumerate(zip(prompt, whole, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), min(len(prompt), len(whole)))
            assert at == len(prompt), (
                f"the prompt for turn {turn + 1} and the turn part at {around(prompt, at)}: the "
                f"conversation goes on with {whole[at : at + 15]!r}"
            )
        earlier = Conversation(messages=conversation.messages[:-1])
        spans = rendering.render(earlier, prompt=True).spans
        assert not spans, f"a rendering with generation prompt has {len(spans)} spans"


def _system_is_refused(subject: Subject) -> None:
    rendering = Rendering(subject)
    with refusal("a conversation with system text"):
        rendering.render(dialog("Yes.", system=SYSTEM))


@check("template", needs="system-text", refuses=_system_is_refused)
def system_text(subject: Subject) -> None:
    """System text is rendered, and is not trained on.

    Why: a format that drops the system text trains on answers without what they follow from.

    Passes: the system text stands in the rendering once, before the first question and outside
    of all spans, also beside tools where the format has them. A template without the capability
    ``system-text`` refuses such a conversation with an ``ft.api.InputError``.

    Fails: system text that is dropped where there are tools; a template that says nothing of
    ``system-text`` and renders such a conversation without it.

    Example: ``the system text is not in the rendering of [system 'Be brief, says the system.',
    user 'Question 1?', assistant 'Yes.'], 1 tools``.
    """
    rendering = Rendering(subject)
    tried = [dialog("Yes.", system=SYSTEM), dialog("Yes.", "No.", system=SYSTEM)]
    if "tools" in rendering.words:
        tried += [Conversation(messages=c.messages, tools=[WEATHER]) for c in tried]
    for conversation in tried:
        rendered = rendering.render(conversation)
        count = rendered.text.count(SYSTEM)
        place = "is not in" if count == 0 else f"stands {count} times in"
        assert count == 1, f"the system text {place} the rendering of {describe(conversation)}"
        at = rendered.text.index(SYSTEM)
        assert at < rendered.text.index("Question 1?"), (
            f"the system text stands behind the first question in {describe(conversation)}"
        )
        inside = any(start < at + len(SYSTEM) and at < end for start, end, _ in rendered.spans)
        assert not inside, f"the system text is trained on in {describe(conversation)}"
