"""DeepSeek V2 (arXiv:2405.04434), V2.5 and Coder V2 (arXiv:2406.11931).

Mixtures of experts whose keys and values are kept in a small latent vector (MLA).
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="DeepSeek V2",
    vendor="DeepSeek",
    model_types=("deepseek_v2",),
    templates=("deepseek", "deepseek-v2-0628", "deepseek-v2-5"),
    checkpoints=(
        Checkpoint("deepseek-ai/DeepSeek-V2-Lite", parameters="16B-A2.4B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-V2", parameters="236B-A21B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-Coder-V2-Lite-Base", parameters="16B-A2.4B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-Coder-V2-Base", parameters="236B-A21B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-V2-Lite-Chat", parameters="16B-A2.4B"),
        Checkpoint("deepseek-ai/DeepSeek-V2-Chat", parameters="236B-A21B"),
        Checkpoint("deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct", parameters="16B-A2.4B"),
        Checkpoint("deepseek-ai/DeepSeek-Coder-V2-Instruct", parameters="236B-A21B"),
        Checkpoint("deepseek-ai/DeepSeek-V2-Chat-0628", parameters="236B-A21B"),
        Checkpoint("deepseek-ai/DeepSeek-V2.5", parameters="236B-A21B"),
        Checkpoint("deepseek-ai/DeepSeek-V2.5-1210", parameters="236B-A21B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "deepseek_v2": {
            "q_lora_rank": None,
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
            "first_k_dense_replace": 1,
        }
    },
    accepts=("packing",),
)
