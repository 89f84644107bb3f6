"""Qwen1.5 (Qwen Team, 2024): the architecture and the chat format of Qwen2, published before it."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Qwen1.5",
    vendor="Alibaba",
    model_types=("qwen2", "qwen2_moe"),
    templates=("qwen2", "qwen2-base"),
    checkpoints=(
        Checkpoint("Qwen/Qwen1.5-0.5B", parameters="0.5B", base=True),
        Checkpoint("Qwen/Qwen1.5-1.8B", parameters="1.8B", base=True),
        Checkpoint("Qwen/Qwen1.5-4B", parameters="4B", base=True),
        Checkpoint("Qwen/Qwen1.5-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen1.5-14B", parameters="14B", base=True),
        Checkpoint("Qwen/Qwen1.5-32B", parameters="32B", base=True),
        Checkpoint("Qwen/Qwen1.5-72B", parameters="72B", base=True),
        Checkpoint("Qwen/Qwen1.5-110B", parameters="110B", base=True),
        Checkpoint("Qwen/CodeQwen1.5-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen1.5-MoE-A2.7B", parameters="14B-A2.7B", base=True),
        Checkpoint("Qwen/Qwen1.5-0.5B-Chat", parameters="0.5B"),
        Checkpoint("Qwen/Qwen1.5-1.8B-Chat", parameters="1.8B"),
        Checkpoint("Qwen/Qwen1.5-4B-Chat", parameters="4B"),
        Checkpoint("Qwen/Qwen1.5-7B-Chat", parameters="7B"),
        Checkpoint("Qwen/Qwen1.5-14B-Chat", parameters="14B"),
        Checkpoint("Qwen/Qwen1.5-32B-Chat", parameters="32B"),
        Checkpoint("Qwen/Qwen1.5-72B-Chat", parameters="72B"),
        Checkpoint("Qwen/Qwen1.5-110B-Chat", parameters="110B"),
        Checkpoint("Qwen/CodeQwen1.5-7B-Chat", parameters="7B"),
        Checkpoint("Qwen/Qwen1.5-MoE-A2.7B-Chat", parameters="14B-A2.7B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen2_moe": {
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "shared_expert_intermediate_size": 32,
        }
    },
    accepts=("packing",),
)
