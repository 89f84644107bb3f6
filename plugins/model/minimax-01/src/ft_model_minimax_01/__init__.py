"""MiniMax-Text-01 (MiniMax, 2025, arXiv:2501.08313) and M1 (arXiv:2506.13585).

Mixtures of experts with linear and full attention in turns. The linear one carries a state through
the whole sequence, so packing is not accepted. The published formats have no place for a call.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

_STOP = ("<end_of_sentence>",)


def _m1(quote: str, published: str) -> Template:
    text = (Path(__file__).parent / "chat_m1.jinja").read_text(encoding="utf-8")
    return Template(f"{{%- set quote = '{quote}' %}}\n{text}", stop=_STOP, published=(published,))


template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=_STOP,
    published=("MiniMaxAI/MiniMax-Text-01-hf",),
)
m1_80k = _m1("", "MiniMaxAI/MiniMax-M1-80k")
m1_40k = _m1('"', "MiniMaxAI/MiniMax-M1-40k")

family = ModelFamily(
    title="MiniMax-01",
    vendor="MiniMax",
    model_types=("minimax",),
    templates=("minimax-01", "minimax-m1-80k", "minimax-m1-40k"),
    checkpoints=(
        Checkpoint("MiniMaxAI/MiniMax-Text-01-hf", parameters="456B-A46B"),
        Checkpoint("MiniMaxAI/MiniMax-M1-40k-hf", parameters="456B-A46B"),
        Checkpoint("MiniMaxAI/MiniMax-M1-80k-hf", parameters="456B-A46B"),
        Checkpoint("MiniMaxAI/MiniMax-M1-40k", parameters="456B-A46B"),
        Checkpoint("MiniMaxAI/MiniMax-M1-80k", parameters="456B-A46B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"minimax": {"num_local_experts": 4, "num_experts_per_tok": 2, "block_size": 16}},
)
