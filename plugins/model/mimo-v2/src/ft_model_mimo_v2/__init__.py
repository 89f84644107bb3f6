"""MiMo-V2-Flash (Xiaomi LLM-Core Team, 2026, arXiv:2601.02780): attention windows, and experts."""

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

_THOUGHTS = re.compile(r"(?:<think>)?(.*?)</think>", re.S)
_CALL = re.compile(r"<tool_call>\n(<function=.*?)</function>\n</tool_call>", re.S)
_NAME = re.compile(r"<function=([^\n>]*)>\n")
_ARGUMENT = re.compile(r"<parameter=([^\n>]*)>(.*?)</parameter>\n", re.S)


class MiMoTemplate(Template):
    """ChatML without newlines between turns; calls in tags, whose arguments are bare text.

    The model thinks with the variable ``enable_thinking: true`` only; without it the prompt closes
    the thoughts, and a conversation with reasoning is refused.
    """

    provides = Template.provides | {"tools"}
    samples = ({}, {"variables": {"enable_thinking": True}})

    def capabilities(self) -> Capabilities:
        thinks = self.options.variables.get("enable_thinking")
        return super().capabilities().also(provides={"reasoning"} if thinks else ())

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(
            text, _CALL, lambda call: tagged_call(call, _NAME, _ARGUMENT, tools), _THOUGHTS
        )


template = MiMoTemplate(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("XiaomiMiMo/MiMo-V2-Flash",),
)

family = ModelFamily(
    title="MiMo V2",
    vendor="Xiaomi",
    model_types=("mimo_v2_flash",),
    templates="mimo-v2",
    checkpoints=(
        Checkpoint("XiaomiMiMo/MiMo-V2-Flash-Base", parameters="309B-A15B", base=True),
        Checkpoint("XiaomiMiMo/MiMo-V2-Flash", parameters="309B-A15B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "mimo_v2_flash": {
            "head_dim": 16,
            "v_head_dim": 16,
            "moe_intermediate_size": 32,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": 32,
            "layer_types": ["full_attention", "sliding_attention"],
        }
    },
    accepts=("packing",),
)
