"""Kind ``template``: how turns become text, and which of that text the model writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ft.api._markers import hookimpl
from ft.api.plugin import Plugin, PluginOptions

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
    """

    kind = "template"
    Options = TemplateOptions
    provides = frozenset({"chat-template", "system-text"})

    def __init__(self, jinja: str, stop: Sequence[str] = (), published: Sequence[str] = ()):
        self.jinja = jinja
        self.stop = tuple(stop)
        self.published = tuple(published)

    @hookimpl
    def ft_render(self, run: Run, conversation: Conversation, generation_prompt: bool) -> Rendered:
        from ft.data.render import render

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
