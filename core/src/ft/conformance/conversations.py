"""Conversations to try a template on: allowed, odd and refused ones alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, product

from ft.api import Conversation, Message, Part, ToolCall

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
"""What a tokenizer tells a template, in a test without one."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather <now> & “soon”",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
CALL_ID = "a1B2c3D4e"
"""Nine letters and digits: what the strictest of the formats that show it asks for."""
TIME = {"type": "function", "function": {"name": "now", "parameters": {}}}
SYSTEM = "Be brief, says the system."
ANSWERS = ("Oslo is a city.", "naïve 東京 <b> & co", "one\n\ntwo")
"""Answers that no template writes otherwise than they stand here."""
TEXTS = ("Hi", "  spaced\n", "", "naïve 東京 🎉 \u200b", "<think>\nhm\n</think>\n\nyes")


def user(content: str | list[Part]) -> Message:
    """A turn of the user."""
    return Message("user", content)


def assistant(content: str | list[Part] = "", **more: object) -> Message:
    """A turn of the assistant; ``more`` are its calls, its reasoning and the like."""
    return Message("assistant", content, **more)  # type: ignore[arg-type]


def dialog(*answers: str, system: str | None = None) -> Conversation:
    """Turns with these answers; every text of it occurs once."""
    first = [] if system is None else [Message("system", system)]
    turns = [(user(f"Question {n}?"), assistant(answer)) for n, answer in enumerate(answers, 1)]
    return Conversation(messages=[*first, *chain.from_iterable(turns)])


def answers_of(conversation: Conversation) -> list[tuple[int, Message]]:
    """The assistant messages with their places."""
    return [(n, m) for n, m in enumerate(conversation.messages) if m.role == "assistant"]


def words_of(conversation: Conversation) -> frozenset[str]:
    """The capability words that a template needs for a conversation."""
    turns = conversation.messages
    found = {
        "system-text": any(turn.role == "system" for turn in turns),
        "tools": bool(conversation.tools)
        or any(turn.tool_calls or turn.role == "tool" for turn in turns),
        "reasoning": any(turn.reasoning for turn in turns),
    }
    return frozenset(word for word, needed in found.items() if needed)


def describe(conversation: Conversation) -> str:
    """A conversation in a line, for a message."""
    turns = []
    for turn in conversation.messages:
        more = [f" + {len(turn.tool_calls)} calls"] if turn.tool_calls else []
        more += [" + reasoning"] if turn.reasoning is not None else []
        turns.append(f"{turn.role} {str(turn.content)[:30]!r}{''.join(more)}")
    tools = f", {len(conversation.tools)} tools" if conversation.tools else ""
    return f"[{', '.join(turns)}]{tools}"


def conversations(control: Sequence[str] = ()) -> Iterator[Conversation]:
    """With and without system text, several turns, tools, results, reasoning, empty, Unicode.

    ``control`` are the template's control tokens, which stand in texts too.
    """
    texts = [*TEXTS, "".join(control), " x ".join(control)] if control else TEXTS
    systems: list[list[Message]] = [[], [Message("system", " You are brief. ")]]
    for system, text in product(systems, texts):
        yield from _plain(system, user(text), assistant(text))
        yield from _thoughtful(system, user(text), text)
        for tools in ([WEATHER], [WEATHER, TIME]):
            for turns in _calling(user(text), text):
                yield Conversation(messages=[*system, *turns], tools=tools)
    for text in control:
        yield Conversation(messages=[Message("system", text), user(text), assistant(text)])
        yield Conversation(messages=[user(f"a{text}\n{text}b"), assistant(f"a{text}\nb"), user("")])


def _plain(system: list[Message], question: Message, answer: Message) -> Iterator[Conversation]:
    yield Conversation(messages=[*system, question])
    yield Conversation(messages=[*system, question, answer])
    yield Conversation(messages=[*system, *[question, answer] * 3])
    yield Conversation(messages=[*system, question, answer, question])
    yield Conversation(messages=[*system, answer, question])
    yield Conversation(messages=[*system, question, question, answer, answer])
    yield Conversation(messages=[*system, question, *system, answer])


def _thoughtful(system: list[Message], question: Message, text: str) -> Iterator[Conversation]:
    thought = assistant(text, reasoning="\nOne.\n\nTwo.\n")
    yield Conversation(messages=[*system, question, thought])
    yield Conversation(messages=[*system, question, thought, question, thought])
    yield Conversation(messages=[*system, question, assistant(text, reasoning="")])
    typed = user("<tool_response>x</tool_response>")
    yield Conversation(messages=[*system, question, typed, thought])


def _calling(question: Message, text: str) -> Iterator[list[Message]]:
    arguments = {"city": "Zürich", "days": 2, "deep": {"a": [1, None]}}
    call = ToolCall("get_weather", arguments)
    plain = assistant(text, tool_calls=[ToolCall("get_weather", {"city": "Oslo"})])
    calling = assistant(text, tool_calls=[call])
    twice = assistant(text, tool_calls=[call, ToolCall("now", {})])
    thinking = assistant(text, tool_calls=[call], reasoning="call it")
    thought = assistant(text, reasoning="\nOne.\n")
    result = Message("tool", '{"sky": "blue"}', name="get_weather")
    answer = assistant(text)
    known = assistant(text, tool_calls=[ToolCall("get_weather", arguments, id=CALL_ID)])
    told = Message("tool", "4 °C", name="get_weather", tool_call_id=CALL_ID)
    yield [question]
    yield [question, known, told, answer, question]
    yield [question, plain, result, answer]
    yield [question, calling]
    yield [question, calling, result]
    yield [question, calling, result, answer]
    yield [question, twice, result, result, answer, question, answer]
    yield [question, thinking, result, thinking, result, thought]


def conversations_with_media(sound: bool = False) -> Iterator[Conversation]:
    """Conversations whose content is a list of parts, images and videos among them.

    With ``sound`` clips too.
    """
    image, video = Part("image", source="x.png"), Part("video", source="x.mp4")
    clip = Part("audio", source="x.wav")
    for text in (" Look. ", "", "東京"):
        part = Part("text", text)
        shapes = [[part], [image, part], [part, image, image], [image, part, video, part]]
        if sound:
            shapes += [[clip, part], [part, clip, image, clip]]
        for parts in shapes:
            for answer in (text, [part, part]):
                turns = [user(parts), assistant(answer)]
                yield Conversation(messages=turns)
                yield Conversation(messages=turns + turns)
                yield Conversation(messages=[Message("system", "Be brief."), *turns])
                yield Conversation(messages=[Message("system", [part]), *turns])
