"""DeepSeek V3.2 (arXiv:2512.02556) and Math-V2: V3.1 with sparse attention.

An indexer picks the tokens that a layer attends to. The models think with the template's variable
``thinking: true``. V3.2 and V3.2-Speciale were published without a chat template; their turns are
those of V3.1, and their form of tool calls is none of it.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="DeepSeek V3.2",
    vendor="DeepSeek",
    model_types=("deepseek_v32",),
    templates="deepseek-v3-1",
    checkpoints=(
        Checkpoint("deepseek-ai/DeepSeek-V3.2-Exp-Base", parameters="671B-A37B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-V3.2-Exp", parameters="671B-A37B"),
        Checkpoint("deepseek-ai/DeepSeek-V3.2", parameters="671B-A37B"),
        Checkpoint("deepseek-ai/DeepSeek-V3.2-Speciale", parameters="671B-A37B"),
        Checkpoint("deepseek-ai/DeepSeek-Math-V2", parameters="671B-A37B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "deepseek_v32": {
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
