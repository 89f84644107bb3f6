"""GLM-4.7 and GLM-4.7-Flash (Zhipu AI, 2025 and 2026): mixtures of experts.

They think unless the template's variable ``enable_thinking`` is false.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GLM-4.7",
    vendor="Zhipu AI",
    model_types=("glm4_moe", "glm4_moe_lite"),
    templates="glm-4-7",
    checkpoints=(
        Checkpoint("zai-org/GLM-4.7-Flash", parameters="30B-A3B"),
        Checkpoint("zai-org/GLM-4.7", parameters="355B-A32B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "glm4_moe": {
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        },
        "glm4_moe_lite": {
            "q_lora_rank": 16,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 16,
            "head_dim": 8,
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_group": 1,
            "topk_group": 1,
            "mlp_layer_types": ["dense", "sparse"],
        },
    },
    accepts=("packing",),
)
