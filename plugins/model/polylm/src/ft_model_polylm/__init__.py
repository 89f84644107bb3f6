"""PolyLM (Wei et al., 2023, arXiv:2307.06018): a base model of 18 languages, made as GPT-2 is.

It has no chat format; for chat data, name a template in the recipe: ``alpaca`` needs no new tokens.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="PolyLM",
    vendor="Alibaba",
    model_types=("gpt2",),
    checkpoints=(Checkpoint("DAMO-NLP-MT/polylm-13b", parameters="13B", base=True),),
    tiny={"gpt2": {"bos_token_id": 0, "eos_token_id": 0}},
    accepts=("packing",),
)
