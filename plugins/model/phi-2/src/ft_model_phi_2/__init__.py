"""Phi-2 (Microsoft, 2023) and the Phi models before it (Li et al., 2023, arXiv:2309.05463).

Base models without a chat format. For chat data, name a template in the recipe: ``alpaca`` needs
no new tokens.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Phi-2",
    vendor="Microsoft",
    model_types=("phi",),
    checkpoints=(
        Checkpoint("microsoft/phi-2", parameters="2.7B", base=True),
        Checkpoint("microsoft/phi-1", parameters="1.3B", base=True),
        Checkpoint("microsoft/phi-1_5", parameters="1.3B", base=True),
    ),
    accepts=("packing",),
)
