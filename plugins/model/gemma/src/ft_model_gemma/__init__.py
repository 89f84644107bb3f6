"""Gemma (Gemma Team, 2024, arXiv:2403.08295): models of 2 and 7 billion parameters."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Gemma",
    vendor="Google",
    model_types=("gemma",),
    templates="gemma",
    checkpoints=(
        Checkpoint("google/gemma-2b", parameters="2B", base=True),
        Checkpoint("google/gemma-7b", parameters="7B", base=True),
        Checkpoint("google/gemma-2b-it", parameters="2B"),
        Checkpoint("google/gemma-7b-it", parameters="7B"),
        Checkpoint("google/gemma-1.1-2b-it", parameters="2B"),
        Checkpoint("google/gemma-1.1-7b-it", parameters="7B"),
    ),
    accepts=("packing",),
)
