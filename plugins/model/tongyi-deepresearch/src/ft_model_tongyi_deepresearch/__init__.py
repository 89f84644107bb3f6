"""Tongyi DeepResearch (Tongyi DeepResearch Team, 2025, arXiv:2510.24701): a model that researches.

Qwen3's architecture and chat format, trained to search the web over many turns.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Tongyi DeepResearch",
    vendor="Alibaba NLP",
    model_types=("qwen3_moe",),
    templates="qwen3",
    checkpoints=(Checkpoint("Alibaba-NLP/Tongyi-DeepResearch-30B-A3B", parameters="30B-A3B"),),
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
