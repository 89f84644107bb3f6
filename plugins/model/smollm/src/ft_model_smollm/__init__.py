"""SmolLM (Allal et al., 2024): Llama's architecture with plain ChatML turns."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="SmolLM",
    vendor="Hugging Face",
    model_types=("llama",),
    templates="chatml",
    checkpoints=(
        Checkpoint("HuggingFaceTB/SmolLM-135M", parameters="135M", base=True),
        Checkpoint("HuggingFaceTB/SmolLM-360M", parameters="360M", base=True),
        Checkpoint("HuggingFaceTB/SmolLM-1.7B", parameters="1.7B", base=True),
        Checkpoint("HuggingFaceTB/SmolLM-135M-Instruct", parameters="135M"),
        Checkpoint("HuggingFaceTB/SmolLM-360M-Instruct", parameters="360M"),
        Checkpoint("HuggingFaceTB/SmolLM-1.7B-Instruct", parameters="1.7B"),
    ),
    accepts=("packing",),
)
