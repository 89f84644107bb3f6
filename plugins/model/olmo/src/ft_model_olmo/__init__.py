"""OLMo (Groeneveld et al., 2024, arXiv:2402.00838): its weights, data and code are all open.

All but one are base models without a chat format. For chat data, name a template in the recipe:
``alpaca`` needs no new tokens.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="OLMo",
    vendor="Ai2",
    model_types=("olmo",),
    checkpoints=(
        Checkpoint("allenai/OLMo-1B-hf", parameters="1B", base=True),
        Checkpoint("allenai/OLMo-7B-hf", parameters="7B", base=True),
        Checkpoint("allenai/OLMo-1.7-7B-hf", parameters="7B", base=True),
        Checkpoint("ssec-uw/OLMo-7B-Instruct-hf", parameters="7B"),
    ),
    accepts=("packing",),
)
