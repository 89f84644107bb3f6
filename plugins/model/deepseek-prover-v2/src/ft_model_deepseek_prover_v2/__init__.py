"""DeepSeek Prover V2 (arXiv:2504.21801): models that prove theorems in Lean 4.

The large one is a DeepSeek V3, the small one has Llama's architecture.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="DeepSeek Prover V2",
    vendor="DeepSeek",
    model_types=("deepseek_v3", "llama"),
    templates=("deepseek-v3", "deepseek-v2-5"),
    checkpoints=(
        Checkpoint("deepseek-ai/DeepSeek-Prover-V2-7B", parameters="7B"),
        Checkpoint("deepseek-ai/DeepSeek-Prover-V2-671B", parameters="671B-A37B"),
        Checkpoint("unsloth/DeepSeek-Prover-V2-671B-BF16", parameters="671B-A37B"),
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
