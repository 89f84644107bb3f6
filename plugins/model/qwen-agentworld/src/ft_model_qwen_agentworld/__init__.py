"""Qwen-AgentWorld (Qwen Team, 2026): a Qwen3.5 that answers an agent as its environment would.

It has the architecture of Qwen3.5 and the chat format of Qwen3.6, with images, videos and tools.
"""

from ft.api import Checkpoint
from ft_model_qwen3_5 import Qwen35
from ft_model_qwen3_5 import family as qwen3_5

family = Qwen35(
    title="Qwen-AgentWorld",
    vendor="Alibaba",
    model_types=("qwen3_5_moe",),
    templates="qwen3-6",
    checkpoints=(Checkpoint("Qwen/Qwen-AgentWorld-35B-A3B", parameters="35B-A3B"),),
    auto_class=qwen3_5.auto_class,
    groups=qwen3_5.groups,
    fused_experts=qwen3_5.fused_experts,
    tiny=qwen3_5.tiny,
    media_tokens=qwen3_5.media_tokens,
    accepts=("images",),
)
