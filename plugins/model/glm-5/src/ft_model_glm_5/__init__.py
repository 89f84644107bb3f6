"""GLM-5, 5.1 and 5.2 (Zhipu AI, 2026): mixtures of experts with sparse attention.

They think unless the template's variable ``enable_thinking`` is false.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GLM-5",
    vendor="Zhipu AI",
    model_types=("glm_moe_dsa",),
    templates=("glm-4-7", "glm-5-1", "glm-5-2"),
    checkpoints=(
        Checkpoint("zai-org/GLM-5", parameters="744B-A40B"),
        Checkpoint("zai-org/GLM-5.1", parameters="744B-A40B"),
        Checkpoint("zai-org/GLM-5.2", parameters="744B-A40B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "glm_moe_dsa": {
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
            "index_topk": 8,
            "index_head_dim": 16,
            # with few heads many scores are zero, and which of those are chosen is chance
            "index_n_heads": 32,
        }
    },
    accepts=("packing",),
)
