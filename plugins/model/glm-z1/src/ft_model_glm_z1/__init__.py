"""GLM-Z1 (Zhipu AI, 2025): GLM-4 models that think before they answer.

The rumination model has another chat format, its own, which then counts.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GLM-Z1",
    vendor="Zhipu AI",
    model_types=("glm4",),
    templates="glm-z1",
    checkpoints=(
        Checkpoint("zai-org/GLM-Z1-9B-0414", parameters="9B"),
        Checkpoint("zai-org/GLM-Z1-32B-0414", parameters="32B"),
        Checkpoint("zai-org/GLM-Z1-Rumination-32B-0414", parameters="32B"),
    ),
    tiny={"glm4": {"pad_token_id": None}},
    accepts=("packing",),
)
