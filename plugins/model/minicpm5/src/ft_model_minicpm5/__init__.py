"""MiniCPM5 (OpenBMB, 2026): Llama's architecture, with ChatML turns and thoughts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ft.api import (
    Checkpoint,
    Message,
    ModelFamily,
    Template,
    hookimpl,
    read_answer,
    tagged_call,
)

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r'\n?<function name=(".*?)</function>(?=\n<function name="|\Z)', re.S)
_NAME = re.compile(r'"([^"]*)">')
_ARGUMENT = re.compile(r'<param name="([^"]*)">(?:<!\[CDATA\[(.*?)\]\]>|(.*?))</param>', re.S)


class MiniCPM5Template(Template):
    """ChatML with thoughts, where the model wants them, and calls in XML."""

    provides = Template.provides | {"tools", "reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(
            text, _CALL, lambda call: tagged_call(call, _NAME, _ARGUMENT, tools), _THOUGHTS
        )


template = MiniCPM5Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("openbmb/MiniCPM5-1B", "openbmb/MiniCPM5-1B-Base"),
)

family = ModelFamily(
    title="MiniCPM5",
    vendor="OpenBMB",
    model_types=("llama",),
    templates="minicpm5",
    checkpoints=(
        Checkpoint("openbmb/MiniCPM5-1B-Base", parameters="1B", base=True),
        Checkpoint("openbmb/MiniCPM5-1B", parameters="1B"),
        Checkpoint("openbmb/MiniCPM5-1B-SFT", parameters="1B"),
    ),
    accepts=("packing",),
)
