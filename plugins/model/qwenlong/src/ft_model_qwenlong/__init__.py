"""QwenLong-L1 (arXiv:2505.17667) and L1.5 (arXiv:2512.12967): they reason over long texts.

L1 was trained from DeepSeek R1's distilled Qwen2.5, L1.5 from the Qwen3 that always thinks.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="QwenLong",
    vendor="Tongyi Zhiwen",
    model_types=("qwen2", "qwen3_moe"),
    templates=("deepseek-r1-distill", "qwen3-thinking"),
    checkpoints=(
        Checkpoint("Tongyi-Zhiwen/QwenLong-L1-32B", parameters="32B"),
        Checkpoint("Tongyi-Zhiwen/QwenLong-L1.5-30B-A3B", parameters="30B-A3B"),
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
