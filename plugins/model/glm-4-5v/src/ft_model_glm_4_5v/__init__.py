"""GLM-4.5V (GLM-V Team, 2025, arXiv:2507.01006): GLM-4.5's experts see images and videos.

It thinks unless the template's variable ``enable_thinking`` is false. Positions have three axes,
so that rows are not packed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Glm45V(VideoFamily):
    """Patches of an image are merged, and frames of a video carry their time."""

    processor = "Glm4vProcessor"
    image_processor = "Glm4vImageProcessorPil"
    video_processor = "Glm4vVideoProcessor"

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        vision = config.vision_config
        return {
            "patch_size": vision.patch_size,
            "merge_size": vision.spatial_merge_size,
            "size": {"shortest_edge": 2 * 16 * 16, "longest_edge": 2 * 64 * 64},
        }


family = Glm45V(
    title="GLM-4.5V",
    vendor="Zhipu AI",
    model_types=("glm4v_moe",),
    templates="glm-4-5v",
    checkpoints=(Checkpoint("zai-org/GLM-4.5V", parameters="106B-A12B"),),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "glm4v_moe": {
            "text_config": {
                **TINY,
                "n_routed_experts": 4,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 32,
                "first_k_dense_replace": 1,
                "rope_parameters": {
                    "rope_type": "default",
                    "partial_rotary_factor": 0.5,
                    "mrope_section": [2, 1, 1],
                },
            },
            "vision_config": {
                "depth": 1,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "image_size": 64,
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
