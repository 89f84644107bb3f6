"""DeepSeek R1 (arXiv:2501.12948): a reasoning model, and smaller ones that learnt from it.

The large ones are DeepSeek V3, the distilled ones Qwen2.5, Qwen3 and Llama 3.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="DeepSeek R1",
    vendor="DeepSeek",
    model_types=("deepseek_v3", "qwen2", "qwen3", "llama"),
    templates=("deepseek-r1", "deepseek-r1-distill", "deepseek-r1-0528"),
    checkpoints=(
        Checkpoint("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", parameters="1.5B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", parameters="7B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", parameters="8B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", parameters="14B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", parameters="32B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", parameters="70B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-Zero", parameters="671B-A37B"),
        Checkpoint("deepseek-ai/DeepSeek-R1", parameters="671B-A37B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", parameters="8B"),
        Checkpoint("deepseek-ai/DeepSeek-R1-0528", parameters="671B-A37B"),
        Checkpoint("unsloth/DeepSeek-R1-BF16", parameters="671B-A37B"),
        Checkpoint("unsloth/DeepSeek-R1-Zero-BF16", parameters="671B-A37B"),
        Checkpoint("unsloth/DeepSeek-R1-0528-BF16", parameters="671B-A37B"),
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
