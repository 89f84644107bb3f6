"""Seed-Coder (ByteDance Seed, 2025, arXiv:2506.03524): models for code with Llama's architecture.

A turn stands between the tokenizer's begin and end token.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    published=("ByteDance-Seed/Seed-Coder-8B-Instruct",),
)

family = ModelFamily(
    title="Seed-Coder",
    vendor="ByteDance",
    model_types=("llama",),
    templates="seed-coder",
    checkpoints=(
        Checkpoint("ByteDance-Seed/Seed-Coder-8B-Base", parameters="8B", base=True),
        Checkpoint("ByteDance-Seed/Seed-Coder-8B-Instruct", parameters="8B"),
        Checkpoint("ByteDance-Seed/Seed-Coder-8B-Reasoning-bf16", parameters="8B"),
    ),
    accepts=("packing",),
)
