"""Seed-OSS (ByteDance Seed, 2025): dense models that are told how long they may think."""

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

_THOUGHTS = re.compile(r"\n?<seed:think>(.*?)</seed:think>\n?", re.S)
_CALL = re.compile(r"\n{0,2}<seed:tool_call>\n(<function=.*?)</function>\n</seed:tool_call>", re.S)
_NAME = re.compile(r"<function=([^\n>]*)>\n")
_ARGUMENT = re.compile(r"<parameter=([^\n>]*)>(.*?)</parameter>\n", re.S)


class SeedOss(Template):
    """Turns between ``<seed:bos>`` and ``<seed:eos>``; calls in tags, with arguments as bare text.

    The variable ``thinking_budget`` says how many tokens the model may think; with 0 the prompt
    closes the thoughts.
    """

    provides = Template.provides | {"tools", "reasoning"}
    samples = ({}, {"variables": {"thinking_budget": 512}})

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(
            text.removeprefix("\n"),
            _CALL,
            lambda call: tagged_call(call, _NAME, _ARGUMENT, tools),
            _THOUGHTS,
        )


template = SeedOss(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<seed:eos>",),
    published=("ByteDance-Seed/Seed-OSS-36B-Instruct",),
    exact="prompts",
)

family = ModelFamily(
    title="Seed-OSS",
    vendor="ByteDance",
    model_types=("seed_oss",),
    templates="seed-oss",
    checkpoints=(
        Checkpoint("ByteDance-Seed/Seed-OSS-36B-Base", parameters="36B", base=True),
        Checkpoint("ByteDance-Seed/Seed-OSS-36B-Base-woSyn", parameters="36B", base=True),
        Checkpoint("ByteDance-Seed/Seed-OSS-36B-Instruct", parameters="36B"),
    ),
    accepts=("packing",),
)
