"""Helpers for dataset plugins: read the values that rows hold, and say which one is wrong.

Every function raises :class:`ft.api.RowError` with the path of the field at fault, such as
``messages[2].tool_calls[0].arguments``. ``field`` is the path of the value that it gets.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast

from pydantic import Field

from ft.api.dataset import DatasetOptions
from ft.api.examples import Message, Part, Role, ToolCall
from ft.errors import RowError

Medium = Literal["image", "video", "audio"]
TurnRole = Literal["system", "user", "assistant", "function_call", "tool"]
"""The role of a turn in a row: ``function_call`` is an assistant turn that is one call."""


def _wrong(value: Any, wanted: str, field: str) -> NoReturn:
    found = "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
    raise RowError(f"is {found}, and {wanted} is wanted", field=field)


def as_text(value: Any, field: str) -> str:
    """``value``, which must be a string; the empty one is allowed."""
    if not isinstance(value, str):
        _wrong(value, "text", field)
    return value


def as_list(value: Any, field: str) -> list[Any]:
    """``value``, which must be a list, or a list written as a JSON string."""
    if isinstance(value, str):
        value = _json(value, field)
    if not isinstance(value, list):
        _wrong(value, "a list", field)
    return value


def as_number(value: Any, field: str) -> float:
    """``value``, which must be a finite number; CSV's strings are read."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        _wrong(value, "a finite number", field)
    return number


def read_tools(value: Any, field: str) -> list[dict[str, Any]]:
    """Function schemas in OpenAI's form; a bare ``{"name": …}`` is wrapped into it.

    Takes a list or a JSON string; nothing at all (``None``, ``""``) means no tools.
    """
    if not value:
        return []
    tools = []
    for index, tool in enumerate(as_list(value, field)):
        if not isinstance(tool, dict):
            _wrong(tool, "a function's schema", f"{field}[{index}]")
        function = tool.get("function", tool)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowError("is a function without a name", field=f"{field}[{index}]")
        tools.append(tool if "function" in tool else {"type": "function", "function": tool})
    return tools


def read_tool_calls(value: Any, field: str) -> list[ToolCall]:
    """One call or several, as objects or as a JSON string.

    A call is ``{"name": …, "arguments": …}``, or that under ``function`` beside an ``id``;
    its arguments are an object or a JSON string of one.
    """
    calls = _json(value, field) if isinstance(value, str) else value
    if isinstance(calls, list):
        return [_tool_call(call, f"{field}[{i}]") for i, call in enumerate(calls)]
    return [_tool_call(calls, field)]


def _tool_call(call: Any, field: str) -> ToolCall:
    if not isinstance(call, dict):
        _wrong(call, "a tool call", field)
    function = call.get("function") or call
    if not isinstance(function, dict):
        _wrong(function, "a function with name and arguments", f"{field}.function")
    name = as_text(function.get("name"), f"{field}.name")
    if not name:
        raise RowError("is empty", field=f"{field}.name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json(arguments, f"{field}.arguments") if arguments.strip() else None
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        _wrong(arguments, "an object of arguments", f"{field}.arguments")
    id = call.get("id")
    return ToolCall(name, arguments, None if id is None else as_text(id, f"{field}.id"))


def _json(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise RowError("is nested too deeply", field=field) from error
    except ValueError as error:
        raise RowError(f"is text that is no valid JSON: {error}", field=field) from error


# -- turns -----------------------------------------------------------------------------------

_ROLES: Mapping[str, TurnRole] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_SHAREGPT_ROLES: Mapping[str, TurnRole] = {
    **_ROLES,
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "function_call": "function_call",
    "tool_call": "function_call",
    "observation": "tool",
    "function_response": "tool",
}


@dataclass(frozen=True, slots=True)
class Turns:
    """How a format writes turns: the keys of role and content, and what its roles mean.

    Beside those a turn may have ``tool_calls``, ``reasoning_content`` (or ``reasoning``,
    ``thinking``), ``tool_call_id``, ``name``, ``train`` and ``weight``.
    """

    role: str = "role"
    content: str = "content"
    roles: Mapping[str, TurnRole] = field(default_factory=lambda: _ROLES)

    def read(self, value: Any, field: str) -> list[Message]:
        """The turns of a list (or of its JSON string); at least one."""
        turns = as_list(value, field)
        if not turns:
            raise RowError("has no turn", field=field)
        return [self._turn(turn, f"{field}[{i}]") for i, turn in enumerate(turns)]

    def _turn(self, turn: Any, field: str) -> Message:
        if not isinstance(turn, dict):
            _wrong(turn, f"a turn with {self.role} and {self.content}", field)
        tag = turn.get(self.role)
        role = self.roles.get(tag) if isinstance(tag, str) else None
        if role is None:
            raise RowError(
                f"is {tag!r}" if tag is not None else "is missing",
                field=f"{field}.{self.role}",
                hint=f"known roles are {', '.join(self.roles)}",
            )
        content = turn.get(self.content)
        if role == "function_call":
            calls = read_tool_calls(as_text(content, f"{field}.{self.content}"), field)
            message = Message("assistant", tool_calls=calls)
        elif isinstance(content, str):
            message = Message(cast(Role, role), content)
        else:
            message = Message(cast(Role, role))
            if content is not None:
                _read_parts(message, content, f"{field}.{self.content}")
        if len(turn) > 2:
            _read_more(message, turn, field)
        if content is None and not message.tool_calls:
            raise RowError("is missing", field=f"{field}.{self.content}")
        if message.tool_calls and role not in ("assistant", "function_call"):
            raise RowError(f"stand in a turn of role {role}", field=f"{field}.tool_calls")
        return message


OPENAI = Turns()
"""``{"role": "user", "content": …}``."""
SHAREGPT = Turns("from", "value", _SHAREGPT_ROLES)
"""``{"from": "human", "value": …}``."""


def read_turns(value: Any, role: Role, field: str) -> list[Message]:
    """Turns in whatever form a row writes them: a text is one turn of ``role``.

    Otherwise one turn, or a list of turns, in the notation of :data:`OPENAI` or
    :data:`SHAREGPT`.
    """
    if isinstance(value, str):
        return [Message(role, value)]
    turns = [value] if isinstance(value, dict) else as_list(value, field)
    sharegpt = bool(turns) and isinstance(turns[0], dict) and SHAREGPT.role in turns[0]
    return (SHAREGPT if sharegpt else OPENAI).read(turns, field)


def _read_more(message: Message, turn: Mapping[str, Any], field: str) -> None:
    for key in ("reasoning_content", "reasoning", "thinking"):
        if turn.get(key) is not None:
            message.reasoning = as_text(turn[key], f"{field}.{key}")
            break
    if turn.get("tool_calls"):
        message.tool_calls += read_tool_calls(turn["tool_calls"], f"{field}.tool_calls")
    if turn.get("tool_call_id") is not None:
        message.tool_call_id = as_text(turn["tool_call_id"], f"{field}.tool_call_id")
    if turn.get("name") is not None:
        message.name = as_text(turn["name"], f"{field}.name")
    if turn.get("train") is not None:
        if not isinstance(turn["train"], bool):
            _wrong(turn["train"], "true or false", f"{field}.train")
        message.train = turn["train"]
    if turn.get("weight") is not None:
        message.weight = as_number(turn["weight"], f"{field}.weight")
        if message.weight < 0:
            raise RowError("is negative", field=f"{field}.weight")


def _read_parts(message: Message, content: Any, field: str) -> None:
    """Content given as parts; what is text only becomes one string, as templates expect."""
    if not isinstance(content, list):
        _wrong(content, "text or a list of parts", field)
    parts: list[Part] = []
    for index, part in enumerate(content):
        place = f"{field}[{index}]"
        if isinstance(part, str):
            parts.append(Part("text", part))
            continue
        if not isinstance(part, dict):
            _wrong(part, "a part", place)
        kind = part.get("type")
        if kind == "text":
            key = "text" if part.get("text") is not None else "value"
            parts.append(Part("text", as_text(part.get(key), f"{place}.text")))
        elif kind in ("reasoning", "thinking"):
            values = (part.get(k) for k in ("value", "text", "thinking"))
            value = as_text(next((v for v in values if v is not None), None), f"{place}.value")
            message.reasoning = (message.reasoning or "") + value
        elif kind == "tool_call":
            message.tool_calls += read_tool_calls(part.get("value"), f"{place}.value")
        elif isinstance(kind, str) and kind in _PART_KINDS:
            medium = _PART_KINDS[kind]
            parts.append(Part(medium, source=_part_source(part, kind, medium, place)))
        else:
            raise RowError(
                f"is {kind!r}" if kind is not None else "is missing",
                field=f"{place}.type",
                hint=f"known types are text, reasoning, tool_call, {', '.join(_PART_KINDS)}",
            )
    if any(part.type != "text" for part in parts):
        message.content = parts
    else:
        message.content = "".join(part.text for part in parts)


# -- media -----------------------------------------------------------------------------------

_PART_KINDS: Mapping[str, Medium] = {
    "image": "image",
    "image_url": "image",
    "video": "video",
    "video_url": "video",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
}


def _part_source(part: Mapping[str, Any], kind: str, medium: Medium, field: str) -> Any:
    """The source that a part itself names, or ``None`` where a column holds it."""
    for key in (kind, medium, "url", "path", "value"):
        value = part.get(key)
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(value.get("url"), str):
            return value["url"]
        if isinstance(value, dict) and "data" in value:
            data = as_text(value["data"], f"{field}.{key}.data")
            return f"data:{medium}/{value.get('format', 'wav')};base64,{data}"
        return _source(value, f"{field}.{key}")
    return None


def _source(value: Any, field: str) -> Any:
    """One medium of a column: a path or URL, raw bytes, or ``{"bytes": …, "path": …}``."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if not isinstance(value, (str, bytes)) or not value:
        _wrong(value, "a path, a URL or bytes", field)
    return value


class MediaColumns(DatasetOptions):
    """Options of a format whose rows may hold media: what their columns are called."""

    images: str = Field("images", description="column of images, one for each <image>")
    videos: str = Field("videos", description="column of videos, one for each <video>")
    audios: str = Field("audios", description="column of clips, one for each <audio>")


def place_media(messages: Sequence[Message], row: Mapping[str, Any], options: MediaColumns) -> None:
    """Put the media of a row where its text marks them, in place.

    ``options`` names the column of each kind. Where the row has that column, each
    ``<image>``, ``<video>`` or ``<audio>`` in a text, and each part without a source, takes
    the next of its media; their numbers must be equal. Without the column such a mark is
    plain text.
    """
    columns = {"image": options.images, "video": options.videos, "audio": options.audios}
    media: dict[str, list[Any]] = {}
    for kind, column in columns.items():
        value = row.get(column)
        if value is not None:
            values = value if isinstance(value, list) else [value]
            media[kind] = [_source(v, f"{column}[{i}]") for i, v in enumerate(values)]
    marks = re.compile(f"<({'|'.join(media)})>") if media else None
    found = dict.fromkeys(columns, 0)
    for message in messages:
        content = message.content
        if isinstance(content, str):
            if marks is None or "<" not in content or not marks.search(content):
                continue
            content = [Part("text", content)]
        parts: list[Part] = []
        for part in content:
            if part.type == "text":
                parts += _split(part.text, marks) if marks else [part]
            else:
                parts.append(part)
        for part in parts:
            if part.type != "text" and part.source is None:
                index = found[part.type]
                found[part.type] += 1
                sources = media.get(part.type, ())
                part.source = sources[index] if index < len(sources) else None
        message.content = parts
    for name, places in found.items():
        count = len(media.get(name, ()))
        if places != count:
            raise RowError(
                f"has {count} entries, and the turns have {places} places for them",
                field=columns[name],
                hint=f"write <{name}> once for each, where it belongs in the text",
            )


def _split(text: str, marks: re.Pattern[str]) -> list[Part]:
    pieces = marks.split(text)  # text, kind, text, kind, …, text
    parts = []
    for index, piece in enumerate(pieces):
        if index % 2:
            parts.append(Part(cast(Medium, piece)))
        elif piece:
            parts.append(Part("text", piece))
    return parts


# -- whole conversations ---------------------------------------------------------------------


def add_system(messages: list[Message], value: Any, field: str) -> None:
    """Put a system prompt from a column of its own first, in place; ``None`` and "" are none."""
    if value is None or value == "":
        return
    text = as_text(value, field)
    if messages and messages[0].role == "system":
        if messages[0].content != text:
            raise RowError("differs from the system turn of the conversation", field=field)
        return
    messages.insert(0, Message("system", text))


def require_answer(messages: Sequence[Message], field: str) -> None:
    """Refuse turns in which the assistant never speaks: there is nothing to learn from."""
    if not any(message.role == "assistant" for message in messages):
        raise RowError("has no assistant turn, so there is nothing to learn", field=field)
