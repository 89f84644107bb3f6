"""CodeGemma (CodeGemma Team, 2024, arXiv:2406.11409): Gemma trained on code."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="CodeGemma",
    vendor="Google",
    model_types=("gemma",),
    templates="gemma",
    checkpoints=(
        Checkpoint("google/codegemma-7b", parameters="7B", base=True),
        Checkpoint("google/codegemma-1.1-2b", parameters="2B", base=True),
        Checkpoint("google/codegemma-7b-it", parameters="7B"),
        Checkpoint("google/codegemma-1.1-7b-it", parameters="7B"),
    ),
    accepts=("packing",),
)
