"""Llama 2 (Touvron et al., 2023, arXiv:2307.09288): base and chat models."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Llama 2",
    vendor="Meta",
    model_types=("llama",),
    templates="llama2",
    checkpoints=(
        Checkpoint("meta-llama/Llama-2-7b-hf", parameters="7B", base=True),
        Checkpoint("meta-llama/Llama-2-13b-hf", parameters="13B", base=True),
        Checkpoint("meta-llama/Llama-2-70b-hf", parameters="70B", base=True),
        Checkpoint("meta-llama/Llama-2-7b-chat-hf", parameters="7B"),
        Checkpoint("meta-llama/Llama-2-13b-chat-hf", parameters="13B"),
        Checkpoint("meta-llama/Llama-2-70b-chat-hf", parameters="70B"),
    ),
    accepts=("packing",),
)
