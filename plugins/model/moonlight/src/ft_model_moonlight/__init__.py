"""Moonlight (Liu et al., 2025, arXiv:2502.16982): the architecture of DeepSeek-V3 at a small
size.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("moonshotai/Moonlight-16B-A3B-Instruct",),
)

family = ModelFamily(
    title="Moonlight",
    vendor="Moonshot AI",
    model_types=("deepseek_v3",),
    templates="moonlight",
    checkpoints=(
        Checkpoint("moonshotai/Moonlight-16B-A3B", parameters="16B-A3B", base=True),
        Checkpoint("moonshotai/Moonlight-16B-A3B-Instruct", parameters="16B-A3B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "deepseek_v3": {
            "num_key_value_heads": 4,
            "head_dim": 8,
            "kv_lora_rank": 16,
            "q_lora_rank": None,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 16,
            "v_head_dim": 16,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        }
    },
    accepts=("packing",),
)
