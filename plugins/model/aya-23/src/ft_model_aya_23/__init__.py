"""Aya 23 (Aryabumi et al., 2024, arXiv:2405.15032): models of 23 languages."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Aya 23",
    vendor="Cohere",
    model_types=("cohere",),
    templates="cohere",
    checkpoints=(
        Checkpoint("CohereLabs/aya-23-8B", parameters="8B"),
        Checkpoint("CohereLabs/aya-23-35B", parameters="35B"),
    ),
    # the published scale of 1/16 hardly lets so small a model learn
    tiny={"cohere": {"logit_scale": 1.0}},
    accepts=("packing",),
)
