"""Mixtral (Jiang et al., 2024, arXiv:2401.04088): eight experts in each layer, two of them for each
token.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Mixtral",
    vendor="Mistral AI",
    model_types=("mixtral",),
    templates=("mistral", "mistral-v3"),
    checkpoints=(
        Checkpoint("mistralai/Mixtral-8x7B-v0.1", parameters="8x7B", base=True),
        Checkpoint("mistralai/Mixtral-8x22B-v0.1", parameters="8x22B", base=True),
        Checkpoint("mistralai/Mixtral-8x7B-Instruct-v0.1", parameters="8x7B"),
        Checkpoint("mistralai/Mixtral-8x22B-Instruct-v0.1", parameters="8x22B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2}},
    accepts=("packing",),
)
