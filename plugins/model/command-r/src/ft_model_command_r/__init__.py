"""Command R and Command R+ (Cohere, 2024): models for retrieval and tools."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Command R",
    vendor="Cohere",
    model_types=("cohere",),
    templates="cohere",
    checkpoints=(
        Checkpoint("CohereLabs/c4ai-command-r-v01", parameters="35B"),
        Checkpoint("CohereLabs/c4ai-command-r-plus", parameters="104B"),
    ),
    # the published scale of 1/16 hardly lets so small a model learn
    tiny={"cohere": {"logit_scale": 1.0}},
    accepts=("packing",),
)
