"""GPT-OSS (OpenAI, 2025, arXiv:2508.10925): mixtures of experts with attention sinks.

Their published weights are in MXFP4. Answers stand in channels: thoughts, calls and the final text.
"""

from ft.api import Checkpoint, ModelFamily
from ft_model_gpt_oss.template import Harmony

template = Harmony()

family = ModelFamily(
    title="GPT-OSS",
    vendor="OpenAI",
    model_types=("gpt_oss",),
    templates="gpt-oss",
    checkpoints=(
        Checkpoint("openai/gpt-oss-20b", parameters="21B-A3.6B"),
        Checkpoint("openai/gpt-oss-120b", parameters="117B-A5.1B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 32}},
    accepts=("packing",),
)
