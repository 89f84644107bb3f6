"""Granite 3.0 to 3.3 (IBM, 2024 and 2025): dense and mixture-of-experts language models."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Granite 3",
    vendor="IBM",
    model_types=("granite", "granitemoe"),
    templates=("granite-3", "granite-3-2", "granite-3-1", "granite-3-0"),
    checkpoints=(
        Checkpoint("ibm-granite/granite-3.0-1b-a400m-base", parameters="1B-A400M", base=True),
        Checkpoint("ibm-granite/granite-3.0-3b-a800m-base", parameters="3B-A800M", base=True),
        Checkpoint("ibm-granite/granite-3.0-2b-base", parameters="2B", base=True),
        Checkpoint("ibm-granite/granite-3.0-8b-base", parameters="8B", base=True),
        Checkpoint("ibm-granite/granite-3.1-1b-a400m-base", parameters="1B-A400M", base=True),
        Checkpoint("ibm-granite/granite-3.1-3b-a800m-base", parameters="3B-A800M", base=True),
        Checkpoint("ibm-granite/granite-3.1-2b-base", parameters="2B", base=True),
        Checkpoint("ibm-granite/granite-3.1-8b-base", parameters="8B", base=True),
        Checkpoint("ibm-granite/granite-3.3-2b-base", parameters="2B", base=True),
        Checkpoint("ibm-granite/granite-3.3-8b-base", parameters="8B", base=True),
        Checkpoint("ibm-granite/granite-3.0-1b-a400m-instruct", parameters="1B-A400M"),
        Checkpoint("ibm-granite/granite-3.0-3b-a800m-instruct", parameters="3B-A800M"),
        Checkpoint("ibm-granite/granite-3.0-2b-instruct", parameters="2B"),
        Checkpoint("ibm-granite/granite-3.0-8b-instruct", parameters="8B"),
        Checkpoint("ibm-granite/granite-3.1-1b-a400m-instruct", parameters="1B-A400M"),
        Checkpoint("ibm-granite/granite-3.1-3b-a800m-instruct", parameters="3B-A800M"),
        Checkpoint("ibm-granite/granite-3.1-2b-instruct", parameters="2B"),
        Checkpoint("ibm-granite/granite-3.1-8b-instruct", parameters="8B"),
        Checkpoint("ibm-granite/granite-3.2-2b-instruct", parameters="2B"),
        Checkpoint("ibm-granite/granite-3.2-8b-instruct", parameters="8B"),
        Checkpoint("ibm-granite/granite-3.3-2b-instruct", parameters="2B"),
        Checkpoint("ibm-granite/granite-3.3-8b-instruct", parameters="8B"),
    ),
    fused_experts=("block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.experts.down_proj"),
    tiny={"granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2}},
    accepts=("packing",),
)
