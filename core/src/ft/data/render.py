"""Conversations to text, with the stretches that the model learns to write.

Rendering is what transformers does when it serves the model: the same Jinja environment, the
same view of messages and tools. What is trained on comes from ``{% generation %}`` marks; for
a checkpoint whose own template has none it comes from rendering prefixes of the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from ft.api.examples import Conversation, Message, Origin, Part, Rendered
from ft.data.probes import PROBES
from ft.data.skeleton import Skeleton, passes_contents_on, placeholder
from ft.errors import InputError

if TYPE_CHECKING:
    from ft.api.run import Run
    from ft.api.template import Template

# Jinja comments come first, so that a mark that one of them mentions is left alone.
_MARK = re.compile(r"\{#.*?#\}|\{%(?P<left>[-+]?)\s*(?:end)?generation\s*(?P<right>[-+]?)%\}", re.S)


@lru_cache(maxsize=64)
def has_marks(jinja: str) -> bool:
    """Whether a template marks what the model writes."""
    return any(match["left"] is not None for match in _MARK.finditer(jinja))


def unmarked(jinja: str) -> str:
    """The same template without marks, as it is saved for serving.

    Each mark becomes an empty comment with the same whitespace control: Jinja trims around
    comments as it does around tags, so the rendering stays the same.
    """
    return _MARK.sub(
        lambda m: m[0] if m["left"] is None else f"{{#{m['left']} {m['right']}#}}", jinja
    )


def render(
    jinja: str,
    conversation: Conversation,
    *,
    generation_prompt: bool,
    variables: Mapping[str, Any],
) -> Rendered:
    """Render with a marked template.

    ``variables`` are the template's own: ``bos_token``, ``enable_thinking`` and the like.
    The marked stretches belong to the assistant messages in their order. Raises
    :class:`ft.api.InputError`, with the row, where the template refuses the conversation, or
    where a message asks for a weight and its stretch cannot be told.
    """
    messages = template_messages(jinja, conversation)
    text, marked = _run_template(jinja, messages, conversation, generation_prompt, variables)
    spans: Sequence[tuple[int, int, float]] = ()
    if not generation_prompt:
        spans = _weigh(marked, conversation)
    return Rendered(text, spans, _media(conversation), conversation.origin)


def render_own(
    jinja: str,
    conversation: Conversation,
    *,
    generation_prompt: bool,
    variables: Mapping[str, Any],
    terminators: Collection[str] = (),
) -> Rendered:
    """Render with a template that has no marks.

    What the model writes in a turn is what that turn adds to the prompt before it. It ends
    after the turn's terminator: the ``eos_token`` among ``variables``, or one of
    ``terminators`` that closes the turn. Raises :class:`ft.api.InputError` where the template
    writes a turn otherwise than it asks for it, or otherwise once other turns follow: what the
    model would have written there cannot be told.
    """
    messages = template_messages(jinja, conversation)

    def text_of(count: int, prompt: bool) -> str:
        return _run_template(jinja, messages[:count], conversation, prompt, variables)[0]

    whole = text_of(len(messages), generation_prompt)
    spans = []
    if not generation_prompt:
        for index, message in enumerate(conversation.messages):
            if not _is_trained(message):
                continue
            before = text_of(index, True)
            after = text_of(index + 1, False)
            if not after.startswith(before):
                asked = before[_common_length(before, after) :]
                raise InputError(
                    f"the checkpoint's chat template asks for an answer with {asked!r}, and writes "
                    f"turn {index + 1} without that",
                    where=_where(conversation.origin),
                    hint="give the turn its reasoning where the model thinks before it answers, "
                    "or install a template plugin for this model",
                )
            if not whole.startswith(after):
                raise InputError(
                    f"the checkpoint's chat template writes turn {index + 1} differently once "
                    "other turns follow, so what the model wrote there cannot be told apart",
                    where=_where(conversation.origin),
                    hint="install a template plugin for this model, or train on the last turn "
                    "only (train: false on the earlier ones)",
                )
            end = len(before) + _end_of_turn(
                after[len(before) :], variables.get("eos_token"), terminators
            )
            spans.append((len(before), end, message.weight))
    return Rendered(whole, spans, _media(conversation), conversation.origin)


def default_render(run: Run, conversation: Conversation, generation_prompt: bool) -> Rendered:
    """Render with the checkpoint's own template: core's default for ``ft_render``."""
    jinja = own_template(run, conversation)
    if jinja is None:
        raise InputError(
            "the checkpoint has no chat template",
            hint="name one in the recipe, template: <name>; `ft plugins list --kind template` "
            "shows which there are",
        )
    if has_marks(jinja):
        return render(
            jinja,
            conversation,
            generation_prompt=generation_prompt,
            variables=run.template_variables,
        )
    return render_own(
        jinja,
        conversation,
        generation_prompt=generation_prompt,
        variables=run.template_variables,
        terminators=run.tokenizer.get_added_vocab(),
    )


def own_template(run: Run, conversation: Conversation | None = None) -> str | None:
    """The checkpoint's own chat template, the processor's before the tokenizer's.

    Some checkpoints have several by name; one for tools is taken where there are tools.
    """
    own = getattr(run.processor, "chat_template", None) or run.tokenizer.chat_template
    if isinstance(own, Mapping):
        tools = conversation is not None and conversation.tools
        return (own.get("tool_use") if tools else None) or own.get("default")
    return own


def agrees(run: Run, template: Template) -> bool | str:
    """Whether a template plugin renders as the checkpoint's own template does.

    ``True``, also where the checkpoint has none; else a sentence that says on which kind of
    conversation and where the two first differ.
    """
    own = own_template(run)
    if own is None:
        return True
    variables = {**run.template_variables, **template.options.variables}
    return first_difference(unmarked(template.jinja), own, variables, template.compared) or True


def first_difference(
    jinja: str, other: str, variables: Mapping[str, Any], prompts: Sequence[bool] = (False, True)
) -> str | None:
    """Where two templates first differ over the probe conversations, as a sentence.

    ``prompts`` says whether to compare renderings without a generation prompt, with one, or both.
    A conversation that both refuse is no difference.
    """
    for name, conversation in PROBES.items():
        for prompt in prompts:
            one = _text_or_none(jinja, conversation, prompt, variables)
            two = _text_or_none(other, conversation, prompt, variables)
            if one == two:
                continue
            if one is None or two is None:
                refusing = "first" if one is None else "second"
                return f"a conversation with {name} is refused by the {refusing} only"
            at = _common_length(one, two)
            near = slice(max(at - 20, 0), at + 20)
            return (
                f"a conversation with {name} differs at character {at}: "
                f"{one[near]!r} against {two[near]!r}"
            )
    return None


def _common_length(one: str, two: str) -> int:
    pairs = enumerate(zip(one, two, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(two)))


_PLAIN_KEYS = frozenset({"role", "content", "name", "tool_call_id"})

# -- running the template ----------------------------------------------------------------------


def _run_template(
    jinja: str,
    messages: list[dict[str, Any]],
    conversation: Conversation,
    generation_prompt: bool,
    variables: Mapping[str, Any],
) -> tuple[str, list[tuple[int, int]]]:
    if not conversation.tools and all(map(_is_bare, messages)) and _is_text(variables):
        roles = tuple(message["role"] for message in messages)
        skeleton = _skeleton(jinja, roles, generation_prompt, tuple(variables.items()))
        if skeleton is not None:
            return skeleton.fill([message["content"] for message in messages])
    return _run_whole_template(jinja, messages, conversation, generation_prompt, variables)


@lru_cache(maxsize=1024)
def _skeleton(
    jinja: str, roles: Sequence[str], generation_prompt: bool, variables: Sequence[tuple[str, str]]
) -> Skeleton | None:
    """What the template writes around the contents of messages with these roles."""
    if not passes_contents_on(jinja) or "\0" in "".join([*roles, *chain(*variables)]):
        return None
    messages = [{"role": role, "content": placeholder(n)} for n, role in enumerate(roles)]
    try:
        text, marks = _run_whole_template(
            jinja, messages, Conversation(messages=()), generation_prompt, dict(variables)
        )
    except InputError:  # which shall name the row
        return None
    return Skeleton(text, marks)


def _run_whole_template(
    jinja: str,
    messages: list[dict[str, Any]],
    conversation: Conversation,
    generation_prompt: bool,
    variables: Mapping[str, Any],
) -> tuple[str, list[tuple[int, int]]]:
    from transformers.utils import chat_template_utils as library

    # transformers before 5.20 hands a template what it is given
    plain_data = getattr(library, "_plain_template_data", _same)
    alias_reasoning = getattr(library, "_alias_reasoning_fields", _same)
    marks = has_marks(jinja) and not generation_prompt
    try:
        # what ``render_jinja_template`` does for one conversation, without what it does anew for
        # each of a million: its own parts, in its own order
        template = library._compile_jinja_template(jinja)
        if not all(map(_is_plain, messages)):
            messages = alias_reasoning(plain_data(messages))
        given = {
            "messages": messages,
            # templates test for none, as transformers hands it to them
            "tools": plain_data([dict(tool) for tool in conversation.tools]) or None,
            "documents": None,
            "add_generation_prompt": generation_prompt,
            **(variables if _is_text(variables) else plain_data(variables)),
        }
        if marks:
            return library._render_with_assistant_indices(template, **given)
        return template.render(given), []
    # a template is a program: beside Jinja's own errors it may raise any other
    except Exception as error:
        raise InputError(
            f"the chat template refuses this conversation: {error}",
            where=_where(conversation.origin),
            hint="change the conversation to what the model's format allows, or choose another "
            "template",
        ) from error


def _is_bare(message: Mapping[str, Any]) -> bool:
    """Whether a message has a role and a text, and nothing else."""
    return len(message) == 2 and type(message["content"]) is str is type(message["role"])


def _is_plain(message: Mapping[str, Any]) -> bool:
    """Whether a message has nothing but text, which a template is handed as it is."""
    return message.keys() <= _PLAIN_KEYS and _is_text(message)


def _is_text(values: Mapping[str, Any]) -> bool:
    # no subclass, which could have methods that a template must not reach
    return all(type(value) is str for value in values.values())


def _same(value: Any) -> Any:
    return value


def _text_or_none(
    jinja: str, conversation: Conversation, prompt: bool, variables: Mapping[str, Any]
) -> str | None:
    messages = template_messages(jinja, conversation)
    try:
        return _run_template(jinja, messages, conversation, prompt, variables)[0]
    except InputError:
        return None


def template_messages(jinja: str, conversation: Conversation) -> list[dict[str, Any]]:
    """The messages in the form that the template reads.

    Some templates read a text only as a string and silently drop a list of parts; others read
    only the list. Where it reads one of the two, text is handed over in that form.
    """
    strings, parts = _content_forms(jinja)
    messages = [message.as_template_input() for message in conversation.messages]
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            if parts and not strings:
                message["content"] = [{"type": "text", "text": content}]
        elif strings and not parts:
            media = next((part["type"] for part in content if part["type"] != "text"), None)
            if media:
                raise InputError(
                    f"the conversation has a part of type {media}, and the chat template knows "
                    "text only",
                    where=_where(conversation.origin),
                    hint="choose a model and a template for this kind of data",
                )
            message["content"] = "".join(part["text"] for part in content)
    return messages


@lru_cache(maxsize=64)
def _content_forms(jinja: str) -> tuple[bool, bool]:
    """Whether a template shows text that comes as a string, and as a list of parts."""
    probe = "ftprobe"
    forms = []
    for content in (probe, [{"type": "text", "text": probe}]):
        messages = [{"role": "user", "content": content}]
        try:
            text, _ = _run_template(
                jinja,
                messages,
                Conversation(messages=()),
                False,
                {"bos_token": "", "eos_token": ""},
            )
        except InputError:
            text = ""
        # a list that was printed as it stands was not understood
        forms.append(probe in text and f"'{probe}'" not in text)
    return forms[0], forms[1]


# -- spans -------------------------------------------------------------------------------------


def _weigh(
    marked: Sequence[tuple[int, int]], conversation: Conversation
) -> list[tuple[int, int, float]]:
    turns = [message for message in conversation.messages if message.role == "assistant"]
    if len(marked) == len(turns):
        return [
            (start, end, turn.weight)
            for (start, end), turn in zip(marked, turns, strict=True)
            if _is_trained(turn) and start < end
        ]
    if any(turn.train is not None or turn.weight != 1.0 for turn in turns):
        raise InputError(
            f"the template marks {len(marked)} stretches for {len(turns)} assistant messages, "
            "so which of them train or weight belongs to cannot be told",
            where=_where(conversation.origin),
            hint="leave train and weight out of the messages, or choose another template",
        )
    return [(start, end, 1.0) for start, end in marked if start < end]


def _is_trained(message: Message) -> bool:
    return message.role == "assistant" and message.train is not False and message.weight != 0


def _end_of_turn(turn: str, eos_token: str | None, terminators: Collection[str]) -> int:
    """Where a turn's text ends: after its terminator, before the white space behind it."""
    if eos_token and eos_token in turn:
        return turn.index(eos_token) + len(eos_token)
    bare = turn.rstrip()
    if any(terminator and bare.endswith(terminator) for terminator in terminators):
        return len(bare)
    return len(turn)


def _media(conversation: Conversation) -> list[Part]:
    return [part for message in conversation.messages for part in message.media]


def _where(origin: Origin | None) -> str | None:
    return None if origin is None else str(origin)
