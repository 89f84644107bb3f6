"""Llama-3-Chinese (Cui et al., 2024): Llama 3 8B trained on Chinese text, and to follow orders."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Llama-3-Chinese",
    vendor="HFL",
    model_types=("llama",),
    templates="llama3",
    checkpoints=(
        Checkpoint("hfl/llama-3-chinese-8b", parameters="8B", base=True),
        Checkpoint("hfl/llama-3-chinese-8b-instruct", parameters="8B"),
        Checkpoint("hfl/llama-3-chinese-8b-instruct-v2", parameters="8B"),
        Checkpoint("hfl/llama-3-chinese-8b-instruct-v3", parameters="8B"),
    ),
    accepts=("packing",),
)
