"""GLM-4.6V (Zhipu AI, 2025): a mixture of experts like GLM-4.5V, and a small dense model.

Both see and think, the latter unless the template's variable ``enable_thinking`` is false. Frames
of a video carry tenths of seconds. The architectures are those of arXiv:2507.01006.
"""

from __future__ import annotations

from ft.api import Checkpoint
from ft_model_glm_4_1v import family as glm_4_1v
from ft_model_glm_4_5v import Glm45V
from ft_model_glm_4_5v import family as glm_4_5v


class Glm46V(Glm45V):
    """Videos have a processor of their own."""

    processor = "Glm46VProcessor"
    image_processor = "Glm46VImageProcessorPil"
    video_processor = "Glm46VVideoProcessor"


family = Glm46V(
    title="GLM-4.6V",
    vendor="Zhipu AI",
    model_types=("glm4v_moe", "glm4v"),
    templates="glm-4-6v",
    checkpoints=(
        Checkpoint("zai-org/GLM-4.6V", parameters="106B-A12B"),
        Checkpoint("zai-org/GLM-4.6V-Flash", parameters="9B"),
    ),
    auto_class=glm_4_5v.auto_class,
    groups=glm_4_5v.groups,
    fused_experts=glm_4_5v.fused_experts,
    tiny={**glm_4_5v.tiny, **glm_4_1v.tiny},
    media_tokens=glm_4_5v.media_tokens,
    accepts=("images",),
)
