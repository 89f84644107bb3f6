"""GLM-4.5 (GLM-4.5 Team, 2025, arXiv:2508.06471): mixtures of experts.

They think unless the template's variable ``enable_thinking`` is false.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GLM-4.5",
    vendor="Zhipu AI",
    model_types=("glm4_moe",),
    templates="glm-4-5",
    checkpoints=(
        Checkpoint("zai-org/GLM-4.5-Air-Base", parameters="106B-A12B", base=True),
        Checkpoint("zai-org/GLM-4.5-Base", parameters="355B-A32B", base=True),
        Checkpoint("zai-org/GLM-4.5-Air", parameters="106B-A12B"),
        Checkpoint("zai-org/GLM-4.5", parameters="355B-A32B"),
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
        }
    },
    accepts=("packing",),
)
