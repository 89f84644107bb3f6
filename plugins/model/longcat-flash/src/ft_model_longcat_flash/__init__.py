"""LongCat-Flash (Meituan, 2025, arXiv:2509.01322): a mixture of experts, some of which do nothing.

A token that such an expert takes costs nothing there. Each layer has two blocks of attention.
"""

import re
from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl, json_call, read_answer

_CALL = re.compile(r"<longcat_tool_call>\n(.*?)\n</longcat_tool_call>", re.S)


class WithTools(Template):
    """Numbered rounds, and ``<longcat_tool_call>`` around calls in JSON."""

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call)


template = WithTools(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("</longcat_s>",),
    published=("meituan-longcat/LongCat-Flash-Chat",),
)

family = ModelFamily(
    title="LongCat-Flash",
    vendor="Meituan",
    model_types=("longcat_flash",),
    templates="longcat-flash",
    checkpoints=(Checkpoint("meituan-longcat/LongCat-Flash-Chat", parameters="560B-A27B"),),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "longcat_flash": {
            "q_lora_rank": 16,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 16,
            "head_dim": 8,
            "num_key_value_heads": 4,
            "ffn_hidden_size": 128,
            "expert_ffn_hidden_size": 32,
            "n_routed_experts": 4,
            "zero_expert_num": 2,
            "moe_topk": 2,
        }
    },
    accepts=("packing",),
)
