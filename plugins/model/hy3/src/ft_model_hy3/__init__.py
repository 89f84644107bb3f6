"""Hy3 (Tencent, 2026): mixture-of-experts models that think as much as they are told to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ft.api import (
    Capabilities,
    Checkpoint,
    Message,
    ModelFamily,
    Template,
    hookimpl,
    read_answer,
    tagged_call,
)


class Hy3Template(Template):
    """Control tokens of its own, and calls in tags, whose arguments are bare text or JSON.

    The variable ``reasoning_effort`` is ``no_think``, ``low`` or ``high``. Unless it is ``low`` or
    ``high`` the prompt closes the thoughts, and a conversation with reasoning is refused.
    """

    provides = Template.provides | {"tools"}
    samples = ({}, {"variables": {"reasoning_effort": "high"}})

    def __init__(self, tag: str, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set tag = '{tag}' %}}\n{text}",
            stop=(f"<｜hy_eos{tag}｜>",),  # noqa: RUF001
            published=(published,),
            exact="prompts",
        )
        self.thoughts = re.compile(rf"(?:<think{tag}>)?(.*?)</think{tag}>", re.S)
        self.call = re.compile(
            rf"(?:<tool_calls{tag}>\n)?<tool_call{tag}>(.*?)</tool_call{tag}>\n"
            rf"(?:(?=<tool_call{tag}>)|</tool_calls{tag}>\Z)",
            re.S,
        )
        self.function = re.compile(rf"([^\n<]+)<tool_sep{tag}>\n")
        self.argument = re.compile(
            rf"<arg_key{tag}>([^\n<]*)</arg_key{tag}>\n"
            rf"<arg_value{tag}>(.*?)</arg_value{tag}>\n(?=<arg_key{tag}>|\Z)",
            re.S,
        )

    def capabilities(self) -> Capabilities:
        thinks = self.options.variables.get("reasoning_effort") in ("low", "high")
        return super().capabilities().also(provides={"reasoning"} if thinks else ())

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(
            text,
            self.call,
            lambda call: tagged_call(call, self.function, self.argument, tools),
            self.thoughts,
        )


template = Hy3Template(":opensource", "tencent/Hy3")
preview = Hy3Template("", "tencent/Hy3-preview")

family = ModelFamily(
    title="Hy3",
    vendor="Tencent",
    model_types=("hy_v3",),
    templates=("hy3", "hy3-preview"),
    checkpoints=(
        Checkpoint("tencent/Hy3-preview-Base", parameters="295B-A21B", base=True),
        Checkpoint("tencent/Hy3-preview", parameters="295B-A21B"),
        Checkpoint("tencent/Hy3", parameters="295B-A21B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"hy_v3": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}},
    accepts=("packing",),
)
