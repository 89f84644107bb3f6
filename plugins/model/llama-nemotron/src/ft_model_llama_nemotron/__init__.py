"""Llama-3.1-Nemotron 70B (Wang et al., 2024, arXiv:2410.01257): Llama 3.1 trained on preferences.

The UltraLong models (arXiv:2504.06214) read up to four million tokens.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Llama-3.1-Nemotron",
    vendor="NVIDIA",
    model_types=("llama",),
    templates=("llama3-1-undated", "llama3-1"),
    checkpoints=(
        Checkpoint("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", parameters="70B"),
        Checkpoint("nvidia/Llama-3.1-Nemotron-8B-UltraLong-4M-Instruct", parameters="8B"),
    ),
    accepts=("packing",),
)
