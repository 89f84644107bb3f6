"""Mistral (Jiang et al., 2023, arXiv:2310.06825): dense models with an attention window.

Many models of other vendors have this architecture and a chat template of their own, which
then counts.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Mistral",
    vendor="Mistral AI",
    model_types=("mistral",),
    templates=("mistral", "mistral-v3", "mistral-nemo", "codestral"),
    checkpoints=(
        Checkpoint("mistralai/Mistral-7B-v0.1", parameters="7B", base=True),
        Checkpoint("alpindale/Mistral-7B-v0.2-hf", parameters="7B", base=True),
        Checkpoint("mistralai/Mistral-7B-v0.3", parameters="7B", base=True),
        Checkpoint("mistralai/Mistral-7B-Instruct-v0.1", parameters="7B"),
        Checkpoint("mistralai/Mistral-7B-Instruct-v0.2", parameters="7B"),
        Checkpoint("mistralai/Mistral-7B-Instruct-v0.3", parameters="7B"),
    ),
    tiny={"mistral": {"sliding_window": 32}},
    accepts=("packing",),
)
