"""Zephyr (Tunstall et al., 2023, arXiv:2310.16944): made of Mistral 7B and Mixtral 8x22B."""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    published=("HuggingFaceH4/zephyr-7b-beta",),
)

family = ModelFamily(
    title="Zephyr",
    vendor="Hugging Face",
    model_types=("mistral", "mixtral"),
    templates="zephyr",
    checkpoints=(
        Checkpoint("HuggingFaceH4/zephyr-7b-alpha", parameters="7B"),
        Checkpoint("HuggingFaceH4/zephyr-7b-beta", parameters="7B"),
        Checkpoint("HuggingFaceH4/zephyr-orpo-141b-A35b-v0.1", parameters="141B-A35B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "mistral": {"sliding_window": 32},
        "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    },
    accepts=("packing",),
)
