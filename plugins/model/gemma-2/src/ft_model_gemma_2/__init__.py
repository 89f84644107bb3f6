"""Gemma 2 (Gemma Team, 2024, arXiv:2408.00118): attention is local and global in turns."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Gemma 2",
    vendor="Google",
    model_types=("gemma2",),
    templates="gemma",
    checkpoints=(
        Checkpoint("google/gemma-2-2b", parameters="2B", base=True),
        Checkpoint("google/gemma-2-9b", parameters="9B", base=True),
        Checkpoint("google/gemma-2-27b", parameters="27B", base=True),
        Checkpoint("google/gemma-2-2b-it", parameters="2B"),
        Checkpoint("google/gemma-2-9b-it", parameters="9B"),
        Checkpoint("google/gemma-2-27b-it", parameters="27B"),
    ),
    tiny={"gemma2": {"query_pre_attn_scalar": 16, "sliding_window": 32}},
    accepts=("packing",),
)
