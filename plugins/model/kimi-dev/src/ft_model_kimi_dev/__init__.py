"""Kimi-Dev (Yang et al., 2025, arXiv:2509.23045): made of Qwen2.5 72B, whose chat format it
keeps.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Kimi-Dev",
    vendor="Moonshot AI",
    model_types=("qwen2",),
    templates="qwen2-5",
    checkpoints=(Checkpoint("moonshotai/Kimi-Dev-72B", parameters="72B"),),
    accepts=("packing",),
)
