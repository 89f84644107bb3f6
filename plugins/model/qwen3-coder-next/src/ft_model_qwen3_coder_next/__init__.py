"""Qwen3-Coder-Next (Qwen Team, 2026): Qwen3-Next's architecture, for code. It does not think."""

from ft.api import Checkpoint, ModelFamily
from ft_model_qwen3_coder import Qwen3CoderTemplate

template = Qwen3CoderTemplate("next", "Qwen/Qwen3-Coder-Next")

family = ModelFamily(
    title="Qwen3-Coder-Next",
    vendor="Alibaba",
    model_types=("qwen3_next",),
    templates="qwen3-coder-next",
    checkpoints=(
        Checkpoint("Qwen/Qwen3-Coder-Next-Base", parameters="80B-A3B", base=True),
        Checkpoint("Qwen/Qwen3-Coder-Next", parameters="80B-A3B"),
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
