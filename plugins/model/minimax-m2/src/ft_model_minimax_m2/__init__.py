"""MiniMax-M2, M2.1, M2.5 and M2.7 (MiniMax, 2025 and 2026): experts that always think."""

from ft.api import Checkpoint, ModelFamily
from ft_model_minimax_m2.template import Thinking

_NAMED = "You are a helpful assistant. Your name is {0} and is built by MiniMax."

template = Thinking(
    "You are MiniMax-M2, a helpful AI assistant built by MiniMax. Knowledge cutoff: 2025-06.",
    "MiniMaxAI/MiniMax-M2",
)
m2_1 = Thinking(_NAMED.format("MiniMax-M2.1"), "MiniMaxAI/MiniMax-M2.1")
m2_5 = Thinking(_NAMED.format("MiniMax-M2.5"), "MiniMaxAI/MiniMax-M2.5")
m2_7 = Thinking(_NAMED.format("MiniMax-M2.7"), "MiniMaxAI/MiniMax-M2.7")

family = ModelFamily(
    title="MiniMax-M2",
    vendor="MiniMax",
    model_types=("minimax_m2",),
    templates=("minimax-m2", "minimax-m2-1", "minimax-m2-5", "minimax-m2-7"),
    checkpoints=(
        Checkpoint("MiniMaxAI/MiniMax-M2", parameters="230B-A10B"),
        Checkpoint("MiniMaxAI/MiniMax-M2.1", parameters="230B-A10B"),
        Checkpoint("MiniMaxAI/MiniMax-M2.5", parameters="230B-A10B"),
        Checkpoint("MiniMaxAI/MiniMax-M2.7", parameters="230B-A10B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"minimax_m2": {"num_local_experts": 4, "num_experts_per_tok": 2, "rotary_dim": 8}},
    accepts=("packing",),
)
