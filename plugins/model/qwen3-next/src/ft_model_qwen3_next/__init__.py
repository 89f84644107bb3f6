"""Qwen3-Next (Qwen Team, 2025): three layers of gated linear attention to one of full attention.

Its chat formats are those of the Qwen3 models of July 2025.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Qwen3-Next",
    vendor="Alibaba",
    model_types=("qwen3_next",),
    templates=("qwen3-instruct", "qwen3-thinking"),
    checkpoints=(
        Checkpoint("Qwen/Qwen3-Next-80B-A3B-Thinking", parameters="80B-A3B"),
        Checkpoint("Qwen/Qwen3-Next-80B-A3B-Instruct", parameters="80B-A3B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen3_next": {
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "layer_types": ["linear_attention", "full_attention"],
        }
    },
)
