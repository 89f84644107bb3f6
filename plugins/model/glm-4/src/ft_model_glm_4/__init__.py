"""GLM-4 (GLM Team, 2024, arXiv:2406.12793): models of 9 and 32 billion parameters.

Those of 2024 are loaded in the form that ``transformers`` has (``glm``, checkpoints that end with
``-hf``); those of 2025 have the type ``glm4``.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GLM-4",
    vendor="Zhipu AI",
    model_types=("glm", "glm4"),
    templates=("glm-4", "glm-4-chat"),
    checkpoints=(
        Checkpoint("zai-org/GLM-4-32B-Base-0414", parameters="32B", base=True),
        Checkpoint("zai-org/glm-4-9b-hf", parameters="9B", base=True),
        Checkpoint("zai-org/GLM-4-9B-0414", parameters="9B"),
        Checkpoint("zai-org/GLM-4-32B-0414", parameters="32B"),
        Checkpoint("zai-org/glm-4-9b-chat-hf", parameters="9B"),
        Checkpoint("zai-org/glm-4-9b-chat-1m-hf", parameters="9B"),
    ),
    tiny={"glm": {"pad_token_id": None}, "glm4": {"pad_token_id": None}},
    accepts=("packing",),
)
