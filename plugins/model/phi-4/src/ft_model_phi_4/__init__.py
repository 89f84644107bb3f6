"""Phi-4 (Abdin et al., 2024, arXiv:2412.08905) and Phi-4-mini (2025, arXiv:2503.01743)."""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = Template(_read("chat.jinja"), stop=("<|im_end|>",), published=("microsoft/phi-4",))
mini = Template(
    _read("chat_mini.jinja"), stop=("<|end|>",), published=("microsoft/Phi-4-mini-instruct",)
)

family = ModelFamily(
    title="Phi-4",
    vendor="Microsoft",
    model_types=("phi3",),
    templates=("phi-4", "phi-4-mini"),
    checkpoints=(
        Checkpoint("microsoft/phi-4", parameters="14B"),
        Checkpoint("microsoft/Phi-4-mini-instruct", parameters="3.8B"),
    ),
    tiny={"phi3": {"pad_token_id": 0}},
    accepts=("packing",),
)
