"""GLM-OCR (Zhipu AI, 2026): a small model that reads documents, tables and formulas.

Its chat format is that of GLM-4.6V, and its architecture that of GLM-4.1V (arXiv:2507.01006)
with a smaller tower. Positions have three axes, so that rows are not packed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class GlmOcr(VideoFamily):
    """Patches of an image are merged, and frames of a video carry their time."""

    processor = "Glm46VProcessor"
    image_processor = "Glm46VImageProcessorPil"
    video_processor = "Glm46VVideoProcessor"

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        vision = config.vision_config
        return {
            "patch_size": vision.patch_size,
            "merge_size": vision.spatial_merge_size,
            "size": {"shortest_edge": 2 * 16 * 16, "longest_edge": 2 * 64 * 64},
        }


family = GlmOcr(
    title="GLM-OCR",
    vendor="Zhipu AI",
    model_types=("glm_ocr",),
    templates="glm-4-6v",
    checkpoints=(Checkpoint("zai-org/GLM-OCR", parameters="0.9B"),),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    tiny={
        "glm_ocr": {
            "text_config": {
                **TINY,
                "rope_parameters": {
                    "rope_type": "default",
                    "mrope_section": [2, 3, 3],
                },
            },
            "vision_config": {
                "depth": 1,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "patch_size": 8,
                "out_hidden_size": TINY["hidden_size"],
            },
        }
    },
    media_tokens={
        "image_token": "<|image|>",
        "video_token": "<|video|>",
        "image_start_token": "<|begin_of_image|>",
        "image_end_token": "<|end_of_image|>",
        "video_start_token": "<|begin_of_video|>",
        "video_end_token": "<|end_of_video|>",
    },
    accepts=("images",),
)
