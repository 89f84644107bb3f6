"""OLMoE (Muennighoff et al., 2024, arXiv:2409.02060): an open mixture of 64 small experts."""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = Template(_read("chat.jinja"), published=("allenai/OLMoE-1B-7B-0125-Instruct",))
template_0924 = Template(_read("chat_0924.jinja"), published=("allenai/OLMoE-1B-7B-0924-Instruct",))

family = ModelFamily(
    title="OLMoE",
    vendor="Allen AI",
    model_types=("olmoe",),
    templates=("olmoe", "olmoe-0924"),
    checkpoints=(
        Checkpoint("allenai/OLMoE-1B-7B-0125", parameters="7B-A1B", base=True),
        Checkpoint("allenai/OLMoE-1B-7B-0924", parameters="7B-A1B", base=True),
        Checkpoint("allenai/OLMoE-1B-7B-0125-Instruct", parameters="7B-A1B"),
        Checkpoint("allenai/OLMoE-1B-7B-0924-Instruct", parameters="7B-A1B"),
        Checkpoint("allenai/OLMoE-1B-7B-0924-SFT", parameters="7B-A1B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"olmoe": {"num_experts": 4, "num_experts_per_tok": 2}},
    accepts=("packing",),
)
