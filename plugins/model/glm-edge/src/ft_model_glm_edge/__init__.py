"""GLM-Edge (Zhipu AI, 2024): small models for devices."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GLM-Edge",
    vendor="Zhipu AI",
    model_types=("glm",),
    templates="glm-edge",
    checkpoints=(
        Checkpoint("zai-org/glm-edge-1.5b-chat", parameters="1.5B"),
        Checkpoint("zai-org/glm-edge-4b-chat", parameters="4B"),
    ),
    tiny={"glm": {"pad_token_id": None}},
    accepts=("packing",),
)
