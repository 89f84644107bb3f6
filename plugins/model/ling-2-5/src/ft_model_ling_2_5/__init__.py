"""Ling and Ring 2.5 and 2.6 (inclusionAI, 2026): linear attention, some latent, and experts.

The Ling models answer at once, the Ring models think before they do.
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
    json_call,
    read_answer,
    tagged_call,
)

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)
_TAGGED_CALL = re.compile(r"\n?<tool_call>(.*?)\n</tool_call>(?=\n<tool_call>|\Z)", re.S)
_NAME = re.compile(r"([^\n<]+)\n")
_ARGUMENT = re.compile(
    r"<arg_key>([^\n<]*)</arg_key>\n<arg_value>(.*?)</arg_value>(?=<arg_key>|\Z)", re.S
)


class Ling(Template):
    """Turns between ``<role>…</role>`` and ``<|role_end|>``, with calls in JSON.

    An answer of the thinking models begins with a newline, which belongs to the format. Earlier
    turns lose their thoughts.
    """

    provides = Template.provides | {"tools", "reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text.removeprefix("\n"), _CALL, json_call, _THOUGHTS)


class Tagged(Ling):
    """The same with calls in tags, whose arguments are bare text or JSON."""

    @hookimpl
    def ft_parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Message:
        return read_answer(
            text.removeprefix("\n"),
            _TAGGED_CALL,
            lambda call: tagged_call(call, _NAME, _ARGUMENT, tools),
            _THOUGHTS,
        )


def _read(kind: str) -> str:
    text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
    return f"{{%- set kind = '{kind}' %}}\n{text}"


template = Ling(_read("ling"), stop=("<|role_end|>",), published=("inclusionAI/Ling-2.6-flash",))
ring = Ling(_read("ring"), stop=("<|role_end|>",), published=("inclusionAI/Ring-2.5-1T",))
ring_2_6 = Tagged(_read("ring-2.6"), stop=("<|role_end|>",), published=("inclusionAI/Ring-2.6-1T",))

family = ModelFamily(
    title="Ling and Ring 2.5",
    vendor="inclusionAI",
    model_types=("bailing_hybrid",),
    templates=("ling-2-5", "ring-2-5", "ring-2-6"),
    checkpoints=(
        Checkpoint("inclusionAI/Ling-2.5-1T", parameters="1T"),
        Checkpoint("inclusionAI/Ling-2.6-1T", parameters="1T"),
        Checkpoint("inclusionAI/Ling-2.6-flash", parameters="104B-A7.4B"),
        Checkpoint("inclusionAI/Ring-2.5-1T", parameters="1T"),
        Checkpoint("inclusionAI/Ring-2.6-1T", parameters="1T"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "bailing_hybrid": {
            "pad_token_id": 0,
            "eos_token_id": 0,
            "num_key_value_heads": 4,
            "kv_lora_rank": 16,
            "q_lora_rank": 32,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 16,
            "v_head_dim": 16,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            "layer_group_size": 2,
            "num_mtp_layers": 0,
        }
    },
)
