"""SeqGPT (Yu et al., 2023, arXiv:2308.10529): BLOOMZ trained to classify and extract.

It has no chat format; for chat data, name a template in the recipe: ``alpaca`` needs no new tokens.
Positions are ALiBi's, a bias that grows with the distance in the sequence, so packing is not
accepted.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="SeqGPT",
    vendor="Alibaba",
    model_types=("bloom",),
    checkpoints=(Checkpoint("DAMO-NLP/SeqGPT-560M", parameters="560M", base=True),),
    tiny={"bloom": {"n_layer": 2, "n_head": 4}},
)
