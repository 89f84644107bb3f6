"""Marco Nano and Mini (Alibaba, 2026): small mixtures of experts for many languages.

They have the architecture of Qwen3 and the format of its models that never think.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Marco",
    vendor="Alibaba",
    model_types=("qwen3_moe",),
    templates="qwen3-instruct",
    checkpoints=(
        Checkpoint("AIDC-AI/Marco-Nano-Base", base=True),
        Checkpoint("AIDC-AI/Marco-Mini-Base", base=True),
        Checkpoint("AIDC-AI/Marco-Mini-Global-Base", base=True),
        Checkpoint("AIDC-AI/Marco-Nano-Instruct"),
        Checkpoint("AIDC-AI/Marco-Mini-Instruct"),
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
