"""dots.llm1 (Huo et al., 2025, arXiv:2506.05767): 128 experts, six of them for each token."""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|endofresponse|>",),
    published=("dots-studio/dots.llm1.inst",),
)

family = ModelFamily(
    title="dots.llm1",
    vendor="rednote-hilab",
    model_types=("dots1",),
    templates="dots-llm1",
    checkpoints=(
        Checkpoint("rednote-hilab/dots.llm1.base", parameters="142B-A14B", base=True),
        Checkpoint("rednote-hilab/dots.llm1.inst", parameters="142B-A14B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "dots1": {
            "moe_intermediate_size": 32,
            "n_shared_experts": 1,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "first_k_dense_replace": 1,
        }
    },
    accepts=("packing",),
)
