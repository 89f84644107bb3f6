"""Conversations by which two chat templates are compared."""

from __future__ import annotations

from collections.abc import Mapping

from ft.api.examples import Conversation, Message, ToolCall

_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
_TURN = [Message("user", " What is 1+2? "), Message("assistant", " It is 3.\n")]
PROBES: Mapping[str, Conversation] = {
    "one turn": Conversation(messages=_TURN),
    "a system message": Conversation(messages=[Message("system", "Be brief."), *_TURN]),
    "two turns": Conversation(messages=_TURN + _TURN),
    "reasoning": Conversation(
        messages=[*_TURN, _TURN[0], Message("assistant", "3", reasoning="one and two")]
    ),
    "tools": Conversation(
        messages=[
            *_TURN[:1],
            Message("assistant", tool_calls=[ToolCall("add", {"a": 1, "b": 2})]),
            Message("tool", "3", name="add"),
            _TURN[1],
        ],
        tools=[_TOOL],
    ),
}
"""Small conversations that between them reach every part of a text template."""
