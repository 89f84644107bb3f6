"""Codestral (Mistral AI, 2024): a model for code with the architecture of Mistral."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Codestral",
    vendor="Mistral AI",
    model_types=("mistral",),
    templates="codestral",
    checkpoints=(Checkpoint("mistralai/Codestral-22B-v0.1", parameters="22B"),),
    tiny={"mistral": {"sliding_window": 32}},
    accepts=("packing",),
)
