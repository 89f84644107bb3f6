"""GPT-2 (Radford et al., 2019): base models, without a chat format.

For chat data, name a template in the recipe: ``alpaca`` needs no new tokens.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="GPT-2",
    vendor="OpenAI",
    model_types=("gpt2",),
    checkpoints=(
        Checkpoint("openai-community/gpt2", parameters="124M", base=True),
        Checkpoint("openai-community/gpt2-medium", parameters="355M", base=True),
        Checkpoint("openai-community/gpt2-large", parameters="774M", base=True),
        Checkpoint("openai-community/gpt2-xl", parameters="1.5B", base=True),
    ),
    tiny={"gpt2": {"bos_token_id": 0, "eos_token_id": 0}},
    accepts=("packing",),
)
