"""LFM2 and LFM2.5 (Liquid AI, 2025, arXiv:2511.23404): short convolutions, and some attention.

Their chat formats list tools and have no form for calls, which a model writes as text.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template


def _template(name: str, published: str) -> Template:
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return Template(text, stop=("<|im_end|>",), published=(published,))


template = _template("chat.jinja", "LiquidAI/LFM2.5-1.2B-Instruct")
template_2 = _template("chat_2.jinja", "LiquidAI/LFM2.5-1.2B-Base")

family = ModelFamily(
    title="LFM2.5",
    vendor="Liquid AI",
    model_types=("lfm2",),
    templates=("lfm2-5", "lfm2"),
    checkpoints=(
        Checkpoint("LiquidAI/LFM2.5-1.2B-Base", parameters="1.2B", base=True),
        Checkpoint("LiquidAI/LFM2.5-1.2B-Instruct", parameters="1.2B"),
        Checkpoint("LiquidAI/LFM2-350M", parameters="350M"),
        Checkpoint("LiquidAI/LFM2-700M", parameters="700M"),
        Checkpoint("LiquidAI/LFM2-1.2B", parameters="1.2B"),
        Checkpoint("LiquidAI/LFM2-2.6B", parameters="2.6B"),
    ),
    tiny={"lfm2": {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}},
)
