"""Mamba (Gu and Dao, 2023, arXiv:2312.00752): state-space models without attention.

They have no chat format; for chat data, name a template in the recipe: ``alpaca`` needs no new
tokens. A state runs through the whole sequence, so packing is not accepted.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Mamba",
    vendor="State Spaces",
    model_types=("mamba",),
    checkpoints=(
        Checkpoint("state-spaces/mamba-130m-hf", parameters="130M", base=True),
        Checkpoint("state-spaces/mamba-370m-hf", parameters="370M", base=True),
        Checkpoint("state-spaces/mamba-390m-hf", parameters="390M", base=True),
        Checkpoint("state-spaces/mamba-790m-hf", parameters="790M", base=True),
        Checkpoint("state-spaces/mamba-1.4b-hf", parameters="1.4B", base=True),
        Checkpoint("state-spaces/mamba-2.8b-hf", parameters="2.8B", base=True),
    ),
    tiny={"mamba": {"state_size": 8}},
)
