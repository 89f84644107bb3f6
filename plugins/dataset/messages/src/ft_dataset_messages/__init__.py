"""OpenAI rows: a list of messages, or a prompt and its completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api import Conversation, Dataset, Field, Message, hookimpl
from ft.api.rows import (
    OPENAI,
    MediaColumns,
    add_system,
    place_media,
    read_tools,
    read_turns,
    require_answer,
)


class Messages(Dataset):
    """The chat format of OpenAI's API, which is that of chat templates.

    Of a row with ``prompt`` and ``completion`` (each a string or a list of messages) only
    the completion is trained on.
    """

    class Options(MediaColumns):
        messages: str = Field("messages", description="column of the messages")
        prompt: str = Field("prompt", description="column of the prompt, without messages")
        completion: str = Field("completion", description="column of what follows the prompt")
        system: str = Field("system", description="column of the system prompt")
        tools: str = Field("tools", description="column of the tools: a list, or its JSON")

    produces = (Conversation,)
    example = {
        "messages": [
            {"role": "user", "content": "What is the capital of Norway?"},
            {"role": "assistant", "content": "Oslo."},
        ]
    }
    aligned = Conversation(
        [Message("user", "What is the capital of Norway?"), Message("assistant", "Oslo.")], tools=[]
    )

    @hookimpl
    def ft_align_row(self, row: Mapping[str, Any]) -> Conversation:
        options = self.options
        turns = row.get(options.messages)
        if turns is None and options.completion in row:
            messages = read_turns(row.get(options.prompt), "user", options.prompt)
            for message in messages:
                if message.role == "assistant":
                    message.train = False
            completion = read_turns(row[options.completion], "assistant", options.completion)
            require_answer(completion, options.completion)
            messages += completion
        else:
            messages = OPENAI.read(turns, options.messages)
            require_answer(messages, options.messages)
        add_system(messages, row.get(options.system), options.system)
        place_media(messages, row, options)
        used = {*vars(options).values()}
        return Conversation(
            messages=messages,
            tools=read_tools(row.get(options.tools), options.tools),
            extra={k: v for k, v in row.items() if k not in used},
        )


dataset = Messages()
