"""GLM-4.1V-Thinking (GLM-V Team, 2025, arXiv:2507.01006): it thinks about images and videos.

Its thoughts stand in the text of an answer, in ``<think>``, and what follows in ``<answer>``. A
turn has no end of its own: the model ends it by beginning the next. The last answer of a
conversation is therefore trained with ``<|user|>``, which the published text leaves out; the
prompts are as published. Positions have three axes, so that rows are not packed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Template, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|user|>",),
    published=("zai-org/GLM-4.1V-9B-Thinking",),
    exact="prompts",
)


class Glm41V(VideoFamily):
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


family = Glm41V(
    title="GLM-4.1V",
    vendor="Zhipu AI",
    model_types=("glm4v",),
    templates="glm-4-1v",
    checkpoints=(
        Checkpoint("zai-org/GLM-4.1V-9B-Base", parameters="9B", base=True),
        Checkpoint("zai-org/GLM-4.1V-9B-Thinking", parameters="9B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    tiny={
        "glm4v": {
            "text_config": {
                **TINY,
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
