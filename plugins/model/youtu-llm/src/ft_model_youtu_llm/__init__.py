"""Youtu-LLM (Tencent Youtu Lab, 2025, arXiv:2512.24618): latent attention at a small size."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl, json_call, read_answer

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r"\n?<tool_call>(\{.*?\})</tool_call>(?=\n<tool_call>|\Z)", re.S)


class Youtu(Template):
    """Thinks unless it is told not to: the variable ``enable_thinking: false`` closes the thoughts.

    Earlier turns lose their thoughts.
    """

    provides = Template.provides | {"tools", "reasoning"}
    samples = ({}, {"variables": {"enable_thinking": False}})

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call, _THOUGHTS)


template = Youtu(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|end_of_text|>",),
    published=("tencent/Youtu-LLM-2B",),
    exact="prompts",
)


class YoutuFamily(ModelFamily):
    """Loads the padding token's embedding as the checkpoint has it.

    Where the configuration names that token, transformers (5.23) sets its embedding to zero each
    time that a model is loaded, and the output layer, which is tied to it, as well.
    """

    @hookimpl
    def ft_patch_config(self, config: PretrainedConfig) -> None:
        super().ft_patch_config(config)
        config.pad_token_id = None


family = YoutuFamily(
    title="Youtu-LLM",
    vendor="Tencent",
    model_types=("youtu",),
    templates="youtu-llm",
    checkpoints=(
        Checkpoint("tencent/Youtu-LLM-2B-Base", parameters="2B", base=True),
        Checkpoint("tencent/Youtu-LLM-2B", parameters="2B"),
    ),
    tiny={
        "youtu": {
            "num_key_value_heads": 4,
            "head_dim": 8,
            "kv_lora_rank": 16,
            "q_lora_rank": 32,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 16,
            "v_head_dim": 16,
        }
    },
    accepts=("packing",),
)
