"""BLOOM (BigScience, 2022, arXiv:2211.05100) and BLOOMZ: models of 46 languages.

They have no chat format; for chat data, name a template in the recipe: ``alpaca`` needs no new
tokens. Positions are ALiBi's, a bias that grows with the distance in the
sequence, so packing is not accepted.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="BLOOM",
    vendor="BigScience",
    model_types=("bloom",),
    checkpoints=(
        Checkpoint("bigscience/bloom-560m", parameters="560M", base=True),
        Checkpoint("bigscience/bloom-3b", parameters="3B", base=True),
        Checkpoint("bigscience/bloom-7b1", parameters="7.1B", base=True),
        Checkpoint("bigscience/bloomz-560m", parameters="560M", base=True),
        Checkpoint("bigscience/bloomz-3b", parameters="3B", base=True),
        Checkpoint("bigscience/bloomz-7b1-mt", parameters="7.1B", base=True),
    ),
    tiny={"bloom": {"n_layer": 2, "n_head": 4}},
)
