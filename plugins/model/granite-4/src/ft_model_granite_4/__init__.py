"""Granite 4.0 (IBM, 2025): hybrids of Mamba-2 and attention layers, some with experts.

A state runs through the whole sequence, so packing is not accepted. The preview of 4.0 has the
chat format of Granite 3.3.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, ToolCall, hookimpl

_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class Calling(Template):
    """A format with tools, whose calls are JSON between tags."""

    provides = Template.provides | {"tools"}

    def __init__(self, default: str, *published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set default = '{default}' %}}\n{text}",
            stop=("<|end_of_text|>",),
            published=published,
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        try:
            calls = [_read_call(match[1]) for match in _CALL.finditer(text)]
        except (ValueError, RecursionError):
            # not a call after all: what the model wrote is kept as text
            return Message("assistant", text)
        return Message("assistant", _CALL.sub("", text), tool_calls=calls)


def _read_call(text: str) -> ToolCall:
    """The call that a model wrote; raises ``ValueError`` where it is none."""
    call = json.loads(text)
    if not isinstance(call, dict) or call.keys() != {"name", "arguments"}:
        raise ValueError("not a name with arguments")
    name, arguments = call["name"], call["arguments"]
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ValueError("a name of another type, or arguments")
    return ToolCall(name, arguments)


template = Calling(
    "You are a helpful assistant. Please ensure responses are professional, accurate, and safe.",
    "ibm-granite/granite-4.0-1b",
)
template_4_1 = Calling("", "ibm-granite/granite-4.1-8b")

family = ModelFamily(
    title="Granite 4",
    vendor="IBM",
    model_types=("granitemoehybrid",),
    templates=("granite-4", "granite-4-1", "granite-3"),
    checkpoints=(
        Checkpoint("ibm-granite/granite-4.0-tiny-preview", parameters="7B-A1B"),
        Checkpoint("ibm-granite/granite-4.0-h-micro", parameters="3B"),
        Checkpoint("ibm-granite/granite-4.0-h-tiny", parameters="7B-A1B"),
        Checkpoint("ibm-granite/granite-4.0-h-small", parameters="32B-A9B"),
        Checkpoint("ibm-granite/granite-4.0-micro", parameters="3B"),
        Checkpoint("ibm-granite/granite-4.0-h-350m", parameters="350M"),
        Checkpoint("ibm-granite/granite-4.0-h-1b", parameters="1B"),
        Checkpoint("ibm-granite/granite-4.0-350m", parameters="350M"),
        Checkpoint("ibm-granite/granite-4.0-1b", parameters="1B"),
    ),
    fused_experts=("block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.experts.down_proj"),
    tiny={
        "granitemoehybrid": {
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 64,
            "layer_types": ["mamba", "attention"],
            "mamba_n_heads": 4,
            "mamba_d_head": 32,
            "mamba_d_state": 16,
            "mamba_chunk_size": 32,
        }
    },
)
