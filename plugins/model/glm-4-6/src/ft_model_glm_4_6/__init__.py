"""GLM-4.6 (Zhipu AI, 2025): the architecture and the chat format of GLM-4.5, arXiv:2508.06471.

It thinks unless the template's variable ``enable_thinking`` is false.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GLM-4.6",
    vendor="Zhipu AI",
    model_types=("glm4_moe",),
    templates="glm-4-5",
    checkpoints=(Checkpoint("zai-org/GLM-4.6", parameters="355B-A32B"),),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "glm4_moe": {
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
