"""Nemotron 3 (NVIDIA, 2025, arXiv:2512.20848) and 3.5: Mamba layers, some attention, and
experts.
"""

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

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n?", re.S)
_CALL = re.compile(
    r"\n?<tool_call>\n(<function=.*?)</function>\n</tool_call>(?:\n(?=<tool_call>|\Z)|\Z)", re.S
)
_NAME = re.compile(r"<function=([^\n>]*)>\n")
_ARGUMENT = re.compile(r"<parameter=([^\n>]*)>\n(.*?)\n</parameter>\n", re.S)


class Nemotron3Template(Template):
    """ChatML with thoughts, and calls in tags, whose arguments are bare text.

    The model thinks unless the variable ``enable_thinking`` is false. Earlier turns lose their
    thoughts.
    """

    provides = Template.provides | {"tools", "reasoning"}
    samples = ({}, {"variables": {"enable_thinking": False}})

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(
            text, _CALL, lambda call: tagged_call(call, _NAME, _ARGUMENT, tools), _THOUGHTS
        )


template = Nemotron3Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",),
    exact="prompts",
)

family = ModelFamily(
    title="Nemotron 3 and 3.5",
    vendor="NVIDIA",
    model_types=("nemotron_h",),
    templates="nemotron-3",
    checkpoints=(
        Checkpoint(
            "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-Base-BF16", parameters="30B-A3B", base=True
        ),
        Checkpoint("nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-BF16", parameters="30B-A3B"),
        Checkpoint("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", parameters="30B-A3B"),
    ),
    fused_experts=("mixer.experts.up_proj", "mixer.experts.down_proj"),
    tiny={
        "nemotron_h": {
            "layers_block_type": ["linear_attention", "moe", "full_attention"],
            "num_hidden_layers": 3,
            "mamba_num_heads": 4,
            "mamba_head_dim": 16,
            "ssm_state_size": 8,
            "n_groups": 2,
            "n_routed_experts": 4,
            "moe_intermediate_size": 32,
            "moe_shared_expert_intermediate_size": 32,
            "chunk_size": 16,
        }
    },
    provides=("linear-layers", "decoder-layers"),
)
