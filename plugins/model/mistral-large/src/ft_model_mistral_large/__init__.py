"""Mistral Large 2 and Mistral Small 2409 (Mistral AI, 2024): the architecture of Mistral 7B.

In the format of Large 2411 system text has tokens of its own, and stands where it is said.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily
from ft_template_mistral import Mistral

template = Mistral(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    published=("mistralai/Mistral-Large-Instruct-2411",),
)

family = ModelFamily(
    title="Mistral Large 2",
    vendor="Mistral AI",
    model_types=("mistral",),
    templates=("mistral-v3", "mistral-nemo", "mistral-large-2411"),
    checkpoints=(
        Checkpoint("mistralai/Mistral-Small-Instruct-2409", parameters="22B"),
        Checkpoint("mistralai/Mistral-Large-Instruct-2407", parameters="123B"),
        Checkpoint("mistralai/Mistral-Large-Instruct-2411", parameters="123B"),
    ),
    tiny={"mistral": {"sliding_window": 32}},
    accepts=("packing",),
)
