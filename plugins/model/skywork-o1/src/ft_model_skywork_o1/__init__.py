"""Skywork-o1 Open (Skywork, 2024): Llama 3.1 8B trained to think and reflect in its answers.

Thoughts are part of its text, so that the chat format is that of Llama 3.1.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Skywork-o1 Open",
    vendor="Skywork",
    model_types=("llama",),
    templates="llama3-1",
    checkpoints=(Checkpoint("Skywork/Skywork-o1-Open-Llama-3.1-8B", parameters="8B"),),
    accepts=("packing",),
)
