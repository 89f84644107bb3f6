"""SmallThinker 3B Preview (PowerInfer, 2024): Qwen2.5 3B trained on long chains of thought.

Thoughts are part of its text, so that the chat format is that of Qwen2.5.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="SmallThinker",
    vendor="PowerInfer",
    model_types=("qwen2",),
    templates="qwen2-5",
    checkpoints=(Checkpoint("PowerInfer/SmallThinker-3B-Preview", parameters="3B"),),
    accepts=("packing",),
)
