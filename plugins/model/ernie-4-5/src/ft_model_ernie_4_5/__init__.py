"""ERNIE 4.5 (Baidu, 2025): dense and mixture-of-experts language models.

The thinking model has another chat format, its own, which then counts.
"""

from pathlib import Path

from ft.api import Checkpoint, KnownFailure, ModelFamily, Template


class Spaced(Template):
    """A format whose prompt ends with a space, as it was published."""

    known_failures = (
        KnownFailure(
            "template.tokens",
            "the published prompt ends with a space, which a tokenizer may join with the answer",
            "https://huggingface.co/baidu/ERNIE-4.5-21B-A3B-PT",
        ),
    )


template = Spaced(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|end_of_sentence|>",),
    published=("baidu/ERNIE-4.5-21B-A3B-Base-PT",),
)

family = ModelFamily(
    title="ERNIE 4.5",
    vendor="Baidu",
    model_types=("ernie4_5", "ernie4_5_moe"),
    templates="ernie-4-5",
    checkpoints=(
        Checkpoint("baidu/ERNIE-4.5-21B-A3B-Base-PT", parameters="21B-A3B", base=True),
        Checkpoint("baidu/ERNIE-4.5-300B-A47B-Base-PT", parameters="300B-A47B", base=True),
        Checkpoint("baidu/ERNIE-4.5-21B-A3B-Thinking", parameters="21B-A3B"),
        Checkpoint("baidu/ERNIE-4.5-0.3B-PT", parameters="0.3B"),
        Checkpoint("baidu/ERNIE-4.5-21B-A3B-PT", parameters="21B-A3B"),
        Checkpoint("baidu/ERNIE-4.5-300B-A47B-PT", parameters="300B-A47B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "ernie4_5_moe": {
            "moe_num_experts": 4,
            "moe_k": 2,
            "moe_intermediate_size": 32,
            "moe_num_shared_experts": 1,
            "moe_layer_start_index": 1,
        }
    },
    accepts=("packing",),
)
