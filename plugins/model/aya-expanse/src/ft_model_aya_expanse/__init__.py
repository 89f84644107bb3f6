"""Aya Expanse (Dang et al., 2024, arXiv:2412.04261): models of 23 languages."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Aya Expanse",
    vendor="Cohere",
    model_types=("cohere",),
    templates="cohere",
    checkpoints=(
        Checkpoint("CohereLabs/aya-expanse-8b", parameters="8B"),
        Checkpoint("CohereLabs/aya-expanse-32b", parameters="32B"),
    ),
    # the published scale of 1/16 hardly lets so small a model learn
    tiny={"cohere": {"logit_scale": 1.0}},
    accepts=("packing",),
)
