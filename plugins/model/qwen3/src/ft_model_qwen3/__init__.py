"""Qwen3 (Yang et al., 2025, arXiv:2505.09388): dense and mixture-of-experts models.

Three chat formats: that of the hybrid models, which think or not (``enable_thinking``), and
those of the 2507 models, which never or always do.
"""

from __future__ import annotations

import re
from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl, json_call, read_answer

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class Qwen3Template(Template):
    """Qwen3's format: ``<think>`` around thoughts, ``<tool_call>`` around calls in JSON."""

    provides = Template.provides | {"tools"}

    def __init__(self, kind: str, *published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set kind = '{kind}' %}}\n{text}", stop=("<|im_end|>",), published=published
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        # the answer of a thinking model begins within its thoughts
        return read_answer(text, _CALL, json_call, _THOUGHTS)


class Thinking(Qwen3Template):
    """Those of Qwen3's formats that have thoughts."""

    provides = Qwen3Template.provides | {"reasoning"}


class Hybrid(Thinking):
    """Thinks unless it is told not to."""

    samples = ({}, {"variables": {"enable_thinking": False}})


template = Hybrid("hybrid", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-30B-A3B")
instruct = Qwen3Template("instruct", "Qwen/Qwen3-4B-Instruct-2507")
thinking = Thinking("thinking", "Qwen/Qwen3-4B-Thinking-2507")

family = ModelFamily(
    title="Qwen3",
    vendor="Alibaba",
    model_types=("qwen3", "qwen3_moe"),
    templates=("qwen3", "qwen3-instruct", "qwen3-thinking"),
    checkpoints=(
        Checkpoint("Qwen/Qwen3-0.6B-Base", parameters="0.6B", base=True),
        Checkpoint("Qwen/Qwen3-1.7B-Base", parameters="1.7B", base=True),
        Checkpoint("Qwen/Qwen3-4B-Base", parameters="4B", base=True),
        Checkpoint("Qwen/Qwen3-8B-Base", parameters="8B", base=True),
        Checkpoint("Qwen/Qwen3-14B-Base", parameters="14B", base=True),
        Checkpoint("Qwen/Qwen3-30B-A3B-Base", parameters="30B-A3B", base=True),
        Checkpoint("Qwen/Qwen3-0.6B", parameters="0.6B"),
        Checkpoint("Qwen/Qwen3-1.7B", parameters="1.7B"),
        Checkpoint("Qwen/Qwen3-4B", parameters="4B"),
        Checkpoint("Qwen/Qwen3-4B-Thinking-2507", parameters="4B"),
        Checkpoint("Qwen/Qwen3-8B", parameters="8B"),
        Checkpoint("Qwen/Qwen3-14B", parameters="14B"),
        Checkpoint("Qwen/Qwen3-32B", parameters="32B"),
        Checkpoint("Qwen/Qwen3-30B-A3B", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-30B-A3B-Thinking-2507", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-235B-A22B", parameters="235B-A22B"),
        Checkpoint("Qwen/Qwen3-235B-A22B-Thinking-2507", parameters="235B-A22B"),
        Checkpoint("Qwen/Qwen3-4B-Instruct-2507", parameters="4B"),
        Checkpoint("Qwen/Qwen3-30B-A3B-Instruct-2507", parameters="30B-A3B"),
        Checkpoint("Qwen/Qwen3-235B-A22B-Instruct-2507", parameters="235B-A22B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen3_moe": {
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "decoder_sparse_step": 1,
        }
    },
    accepts=("packing",),
)
