"""Qwen2 (Yang et al., 2024, arXiv:2407.10671): dense and mixture-of-experts models.

Many models of other vendors have this architecture, and a chat template of their own or that of
Qwen2.5. Base models have a template that differs by one full stop.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template


def _template(system: str, published: str) -> Template:
    text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
    return Template(
        f"{{%- set default_system = '{system}' %}}\n{text}",
        stop=("<|im_end|>",),
        published=(published,),
    )


template = _template("You are a helpful assistant.", "Qwen/Qwen2-1.5B-Instruct")
base = _template("You are a helpful assistant", "Qwen/Qwen2-0.5B")

family = ModelFamily(
    title="Qwen2",
    vendor="Alibaba",
    model_types=("qwen2", "qwen2_moe"),
    templates=("qwen2", "qwen2-base", "qwen2-5", "qwen2-5-base", "qwen2-5-math"),
    checkpoints=(
        Checkpoint("Qwen/Qwen2-0.5B", parameters="0.5B", base=True),
        Checkpoint("Qwen/Qwen2-1.5B", parameters="1.5B", base=True),
        Checkpoint("Qwen/Qwen2-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen2-72B", parameters="72B", base=True),
        Checkpoint("Qwen/Qwen2-57B-A14B", parameters="57B-A14B", base=True),
        Checkpoint("Qwen/Qwen2-Math-1.5B", parameters="1.5B", base=True),
        Checkpoint("Qwen/Qwen2-Math-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen2-Math-72B", parameters="72B", base=True),
        Checkpoint("Qwen/Qwen2-0.5B-Instruct", parameters="0.5B"),
        Checkpoint("Qwen/Qwen2-1.5B-Instruct", parameters="1.5B"),
        Checkpoint("Qwen/Qwen2-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2-72B-Instruct", parameters="72B"),
        Checkpoint("Qwen/Qwen2-57B-A14B-Instruct", parameters="57B-A14B"),
        Checkpoint("Qwen/Qwen2-Math-1.5B-Instruct", parameters="1.5B"),
        Checkpoint("Qwen/Qwen2-Math-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2-Math-72B-Instruct", parameters="72B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "qwen2_moe": {
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "shared_expert_intermediate_size": 32,
        }
    },
    accepts=("packing",),
)
