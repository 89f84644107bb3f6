"""SmolVLM2 (Marafioti et al., 2025, arXiv:2504.05299): Idefics3 made small.

An image is cut into tiles of the size that the tower sees, and the whole follows as one more. Of
SmolVLM2, images are trained: the published chat format has no place for a video. The first SmolVLM
is of Idefics3's own type, and belongs to that family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import TINY, Capabilities, Checkpoint, ModelFamily, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class SmolVLM2(VideoFamily):
    """Rows have different numbers of tiles; tiles of zeros stand for none."""

    processor = "SmolVLMProcessor"
    image_processor = "SmolVLMImageProcessorPil"
    video_processor = "SmolVLMVideoProcessor"

    def capabilities(self) -> Capabilities:
        return ModelFamily.capabilities(self)

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        side = config.vision_config.image_size
        return {"size": {"longest_edge": 2 * side}, "max_image_size": {"longest_edge": side}}

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        vision = config.vision_config
        side = vision.image_size // vision.patch_size // config.scale_factor
        return {"image_seq_len": side**2}


family = SmolVLM2(
    title="SmolVLM2",
    vendor="Hugging Face",
    model_types=("smolvlm",),
    templates=("smolvlm", "smolvlm-base"),
    checkpoints=(
        Checkpoint("HuggingFaceTB/SmolVLM2-2.2B-Base", parameters="2.2B", base=True),
        Checkpoint("HuggingFaceTB/SmolVLM2-256M-Video-Instruct", parameters="256M"),
        Checkpoint("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", parameters="500M"),
        Checkpoint("HuggingFaceTB/SmolVLM2-2.2B-Instruct", parameters="2.2B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_model",
        "projector": "model.connector",
        "language": "model.text_model",
    },
    tiny={
        "smolvlm": {
            "text_config": {"model_type": "llama", **TINY},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
            },
        },
    },
    media_tokens={
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
    },
    padded_media=("pixel_values", "pixel_attention_mask"),
    accepts=("images", "packing"),
)
