"""DeepSeek V3 (arXiv:2412.19437): a mixture of 256 experts, balanced without a loss."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="DeepSeek V3",
    vendor="DeepSeek",
    model_types=("deepseek_v3",),
    templates="deepseek-v3",
    checkpoints=(
        Checkpoint("deepseek-ai/DeepSeek-V3-Base", parameters="671B-A37B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-V3", parameters="671B-A37B"),
        Checkpoint("deepseek-ai/DeepSeek-V3-0324", parameters="671B-A37B"),
        Checkpoint("unsloth/DeepSeek-V3-bf16", parameters="671B-A37B"),
        Checkpoint("unsloth/DeepSeek-V3-0324-BF16", parameters="671B-A37B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "deepseek_v3": {
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
            "n_group": 2,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        }
    },
    accepts=("packing",),
)
