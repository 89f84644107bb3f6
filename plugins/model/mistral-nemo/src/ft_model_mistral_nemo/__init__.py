"""Mistral Nemo and Ministral 8B (Mistral AI, 2024): the architecture of Mistral, with a tokenizer
of its own.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Mistral Nemo",
    vendor="Mistral AI",
    model_types=("mistral",),
    templates="mistral-nemo",
    checkpoints=(
        Checkpoint("mistralai/Mistral-Nemo-Base-2407", parameters="12B", base=True),
        Checkpoint("mistralai/Ministral-8B-Instruct-2410", parameters="8B"),
        Checkpoint("mistralai/Mistral-Nemo-Instruct-2407", parameters="12B"),
    ),
    tiny={"mistral": {"sliding_window": 32}},
    accepts=("packing",),
)
