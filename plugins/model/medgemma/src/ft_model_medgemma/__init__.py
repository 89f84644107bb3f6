"""MedGemma (Sellergren et al., 2025, arXiv:2507.05201): Gemma 3 for medical text and images."""

from ft.api import Checkpoint
from ft_model_gemma3 import Gemma3
from ft_model_gemma3 import family as gemma3

family = Gemma3(
    title="MedGemma",
    vendor="Google",
    model_types=gemma3.model_types,
    templates="gemma3",
    checkpoints=(
        Checkpoint("google/medgemma-4b-pt", parameters="4B", base=True),
        Checkpoint("google/medgemma-4b-it", parameters="4B"),
        Checkpoint("google/medgemma-27b-text-it", parameters="27B"),
        Checkpoint("google/medgemma-27b-it", parameters="27B"),
    ),
    auto_class=gemma3.auto_class,
    groups=gemma3.groups,
    tiny=gemma3.tiny,
    media_tokens=gemma3.media_tokens,
    accepts=("images", "packing"),
)
