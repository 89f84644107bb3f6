"""Devstral Small (Mistral AI, 2025): the architecture of Mistral, made for agents that write code.

The checkpoints have no chat template beside them; this one writes the format of release 1.1.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, ToolCall, hookimpl, read_answer

_CALL = re.compile(r"\[TOOL_CALLS\](.*?\})(?=\[TOOL_CALLS\]|\Z)", re.S)


class Devstral(Template):
    """Tools stand behind the system text; a call is a name and a JSON object.

    The end token of the tokenizer ends an answer.
    """

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, _read_call)


def _read_call(text: str) -> ToolCall:
    name, _, arguments = text.partition("[ARGS]")
    found = json.loads(arguments)
    if not name or not isinstance(found, dict):
        raise ValueError("not a name with arguments")
    return ToolCall(name, found)


template = Devstral((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))

family = ModelFamily(
    title="Devstral",
    vendor="Mistral AI",
    model_types=("mistral",),
    templates="devstral",
    checkpoints=(
        Checkpoint("mistralai/Devstral-Small-2507", parameters="24B"),
        Checkpoint("mistralai/Devstral-Small-2505", parameters="24B"),
    ),
    tiny={"mistral": {"sliding_window": 32}},
    accepts=("packing",),
)
