"""Reading answers back: what the parsers of many chat formats share.

An answer is thoughts, then text with calls in it. A format has patterns for both; what cannot be
read as a call is kept as text, so that nothing a model wrote is lost.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ft.api.examples import Message, ToolCall


def read_answer(
    text: str,
    calls: re.Pattern[str],
    read_call: Callable[[str], ToolCall],
    thoughts: re.Pattern[str] | None = None,
) -> Message:
    """The message that a model wrote as ``text``.

    ``thoughts`` matches at the beginning, and its first group is the reasoning. The first group
    of each match of ``calls`` goes to ``read_call``, which raises ``ValueError`` where it is no
    call; all that follows the thoughts is text then.
    """
    reasoning = None
    if thoughts is not None and (match := thoughts.match(text)):
        reasoning = match[1] or None
        text = text[match.end() :]
    try:
        found = [read_call(match[1]) for match in calls.finditer(text)]
    except (ValueError, RecursionError):
        return Message("assistant", text, reasoning=reasoning)
    return Message("assistant", calls.sub("", text), tool_calls=found, reasoning=reasoning)


def json_call(text: str, arguments: str = "arguments") -> ToolCall:
    """The call in a JSON object with a name and, under the key ``arguments``, an object.

    Raises ``ValueError`` where it is none.
    """
    call = json.loads(text)
    if not isinstance(call, dict) or call.keys() != {"name", arguments}:
        raise ValueError("not a name with arguments")
    if not isinstance(call["name"], str) or not isinstance(call[arguments], dict):
        raise ValueError("a name of another type, or arguments")
    return ToolCall(call["name"], call[arguments])


def typed_argument(
    text: str, function: str, argument: str, tools: Sequence[Mapping[str, Any]]
) -> Any:
    """The value of an argument that a format writes as bare text.

    Text where the schema among ``tools`` says string; otherwise what it is as JSON, or as Python
    writes it, and text where it is neither.
    """
    for tool in tools:
        schema = tool.get("function", tool)
        if schema.get("name") == function:
            properties = schema.get("parameters", {}).get("properties", {})
            if properties.get(argument, {}).get("type") == "string":
                return text
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if value is None or isinstance(value, bool | int | float | dict | list):
            return value
    return text


def tagged_call(
    text: str,
    name: re.Pattern[str],
    argument: re.Pattern[str],
    tools: Sequence[Mapping[str, Any]],
) -> ToolCall:
    """The call in a format that puts tags around a name and around arguments in bare text.

    ``name`` matches at the beginning and has the name as its first group; ``argument`` matches
    one after another up to the end, with the name of each as its first group and the value as the
    last that matched. Raises ``ValueError`` where they leave something over.
    """
    if not (match := name.match(text)):
        raise ValueError("no name")
    function, at = match[1], match.end()
    arguments: dict[str, Any] = {}
    while (match := argument.match(text, at)) and match[1] not in arguments:
        value = match[match.lastindex or 1]
        arguments[match[1]] = typed_argument(value, function, match[1], tools)
        at = match.end()
    if at != len(text):
        raise ValueError("more than arguments")
    return ToolCall(function, arguments)
