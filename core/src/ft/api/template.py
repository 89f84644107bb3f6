"""Kind ``template``: how turns become text, and which of that text the model writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ft.api._markers import hookimpl
from ft.api.plugin import Plugin, PluginOptions
from ft.errors import InputError

if TYPE_CHECKING:
    from ft.api.examples import Conversation, Message, Rendered
    from ft.api.run import Run


class TemplateOptions(PluginOptions):
    """What a recipe may say of a template."""

    variables: dict[str, Any] = Field(
        default_factory=dict,
        description="values for the template's own variables, such as enable_thinking: false",
    )


class Template(Plugin):
    """A chat template: Jinja text with ``{% generation %}`` marks.

    The marks enclose what the model writes in an assistant turn, its turn terminator
    included; exactly one marked stretch for each assistant message. Without them the text
    renders byte for byte as the published template does. ``stop`` are the strings that end
    a turn. ``published`` names checkpoints whose published template this is (``org/name``), for
    the conformance kit to compare with.

    ``exact`` is ``prompts`` where the published text writes the last answer otherwise than it asks
    for it: it leaves out the thoughts that its prompt opens, or what ends the turn. A model that
    is served sees prompts only, so those have to be equal; the last answer of a conversation that
    asks for no further one may hold what the model really writes.

    ``provides`` says what of a conversation the format has a place for: ``system-text``,
    ``tools``, ``reasoning``. A conversation with more than that is refused: Jinja would leave
    out what it does not know, and nobody would see that the model never learns it.
    """

    kind = "template"
    Options = TemplateOptions
    provides = frozenset({"chat-template", "system-text"})

    def __init__(
        self,
        jinja: str,
        stop: Sequence[str] = (),
        published: Sequence[str] = (),
        exact: Literal["everything", "prompts"] = "everything",
    ):
        self.jinja = jinja
        self.stop = tuple(stop)
        self.published = tuple(published)
        self.exact = exact

    @property
    def compared(self) -> tuple[bool, ...]:
        """With and without a generation prompt: which renderings equal the published ones."""
        return (False, True) if self.exact == "everything" else (True,)

    @hookimpl
    def ft_render(self, run: Run, conversation: Conversation, generation_prompt: bool) -> Rendered:
        from ft.data.render import render

        self._refuse_what_is_lost(conversation)
        return render(
            self.jinja,
            conversation,
            generation_prompt=generation_prompt,
            variables={**run.template_variables, **self.options.variables},
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        from ft.api.examples import Message

        return Message("assistant", text)

    def _refuse_what_is_lost(self, conversation: Conversation) -> None:
        for word, part in _parts(conversation):
            if word not in self.capabilities().provides:
                raise InputError(
                    f"the conversation has {part}, and the chat template {self.name} has no place "
                    "for that",
                    where=str(conversation.origin) if conversation.origin else None,
                    hint="take it out of the data, or choose a template whose format has it",
                )


def _parts(conversation: Conversation) -> Iterator[tuple[str, str]]:
    """Capability words that a conversation asks of its template, and what asks for them."""
    if conversation.tools:
        yield "tools", "tools"
    for message in conversation.messages:
        if message.role == "system":
            yield "system-text", "system text"
        elif message.role == "tool":
            yield "tools", "the result of a tool"
        if message.tool_calls:
            yield "tools", "a tool call"
        if message.reasoning:
            yield "reasoning", "reasoning"
