"""ShareGPT rows: a list of turns with ``from`` and ``value``, with tools and media."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Conversation, Dataset, Field, Message, ToolCall, hookimpl
from ft.api.rows import (
    SHAREGPT,
    MediaColumns,
    TurnRole,
    Turns,
    add_system,
    place_media,
    read_tools,
    require_answer,
)


class ShareGpt(Dataset):
    """Conversations as ShareGPT wrote them, and as tool data sets extended them.

    A ``function_call`` turn is JSON of a call or of a list of calls; an ``observation`` is
    what the tool gave back.
    """

    class Options(MediaColumns):
        conversations: str = Field("conversations", description="column of the turns")
        system: str = Field("system", description="column of the system prompt")
        tools: str = Field("tools", description="column of the tools: a list, or its JSON")
        role_key: str = Field("from", description="key of a turn's role")
        content_key: str = Field("value", description="key of a turn's text")
        roles: dict[str, TurnRole] = Field(
            default_factory=dict, description="what further role names mean, as {bot: assistant}"
        )

    produces = (Conversation,)
    example = {
        "conversations": [
            {"from": "human", "value": "How warm is it in Oslo?"},
            {
                "from": "function_call",
                "value": '{"name": "temperature", "arguments": {"city": "Oslo"}}',
            },
            {"from": "observation", "value": '{"celsius": 4}'},
            {"from": "gpt", "value": "It is 4 °C in Oslo."},
        ],
        "tools": '[{"name": "temperature", "parameters": {"type": "object", "properties": '
        '{"city": {"type": "string"}}}}]',
    }
    aligned = Conversation(
        [
            Message("user", "How warm is it in Oslo?"),
            Message("assistant", tool_calls=[ToolCall("temperature", {"city": "Oslo"})]),
            Message("tool", '{"celsius": 4}'),
            Message("assistant", "It is 4 °C in Oslo."),
        ],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "temperature",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                },
            }
        ],
    )

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Conversation:
        options = self.options
        turns = Turns(options.role_key, options.content_key, {**SHAREGPT.roles, **options.roles})
        messages = turns.read(row.get(options.conversations), options.conversations)
        require_answer(messages, options.conversations)
        add_system(messages, row.get(options.system), options.system)
        place_media(messages, row, options)
        used = (
            options.conversations,
            options.system,
            options.tools,
            options.images,
            options.videos,
            options.audios,
        )
        return Conversation(
            messages=messages,
            tools=read_tools(row.get(options.tools), options.tools),
            extra={k: v for k, v in row.items() if k not in used},
        )


dataset = ShareGpt()
