"""StarCoder2 (Lozhkov et al., 2024, arXiv:2402.19173): base models for code, without a chat format.

For chat data, name a template in the recipe: ``alpaca`` needs no new tokens.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="StarCoder2",
    vendor="BigCode",
    model_types=("starcoder2",),
    checkpoints=(
        Checkpoint("bigcode/starcoder2-3b", parameters="3B", base=True),
        Checkpoint("bigcode/starcoder2-7b", parameters="7B", base=True),
        Checkpoint("bigcode/starcoder2-15b", parameters="15B", base=True),
    ),
    tiny={"starcoder2": {"sliding_window": 32, "bos_token_id": 0, "eos_token_id": 0}},
    accepts=("packing",),
)
