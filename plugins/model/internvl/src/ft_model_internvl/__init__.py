"""InternVL 2.5, 3 and 3.5 (Zhu et al., 2025, arXiv:2504.10479; Wang et al., 2025, 2508.18265).

The checkpoints are those in the form of transformers (``-hf``). An image is cut into tiles, with
the whole in small behind them. The text models are those of several vendors; the experts of the
models that have some stay as they are, unless the whole model trains.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Capabilities, Checkpoint, Limit, ModelFamily, Template, VideoFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("OpenGVLab/InternVL3-8B-hf",),
)


class InternVL(VideoFamily):
    """Tiles are of one size; how many there are follows from the shape of the image."""

    processor = "InternVLProcessor"
    image_processor = "GotOcr2ImageProcessorPil"
    video_processor = "InternVLVideoProcessor"
    limits = {"video": Limit("not-implemented", "frames would stand among the images of a row")}

    def capabilities(self) -> Capabilities:
        # its processor reads videos where torchvision is installed, and the family does not
        return ModelFamily.capabilities(self)

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        height, width = config.vision_config.image_size
        return {"size": {"height": height, "width": width}, "max_patches": 3}

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        return {"image_seq_length": config.image_seq_length}


family = InternVL(
    title="InternVL",
    vendor="OpenGVLab",
    model_types=("internvl",),
    templates="internvl",
    checkpoints=(
        Checkpoint("OpenGVLab/InternVL2_5-2B-MPO-hf", parameters="2B"),
        Checkpoint("OpenGVLab/InternVL2_5-8B-MPO-hf", parameters="8B"),
        Checkpoint("OpenGVLab/InternVL3-1B-hf", parameters="1B"),
        Checkpoint("OpenGVLab/InternVL3-2B-hf", parameters="2B"),
        Checkpoint("OpenGVLab/InternVL3-8B-hf", parameters="8B"),
        Checkpoint("OpenGVLab/InternVL3-9B-hf", parameters="9B"),
        Checkpoint("OpenGVLab/InternVL3-14B-hf", parameters="14B"),
        Checkpoint("OpenGVLab/InternVL3-38B-hf", parameters="38B"),
        Checkpoint("OpenGVLab/InternVL3-78B-hf", parameters="78B"),
        Checkpoint("OpenGVLab/InternVL3_5-1B-HF", parameters="1B"),
        Checkpoint("OpenGVLab/InternVL3_5-2B-HF", parameters="2B"),
        Checkpoint("OpenGVLab/InternVL3_5-4B-HF", parameters="4B"),
        Checkpoint("OpenGVLab/InternVL3_5-8B-HF", parameters="8B"),
        Checkpoint("OpenGVLab/InternVL3_5-14B-HF", parameters="14B"),
        Checkpoint("OpenGVLab/InternVL3_5-38B-HF", parameters="38B"),
        Checkpoint("OpenGVLab/InternVL3_5-30B-A3B-HF", parameters="30B-A3B"),
        Checkpoint("OpenGVLab/InternVL3_5-241B-A28B-HF", parameters="241B-A28B"),
        Checkpoint("OpenGVLab/InternVL3_5-GPT-OSS-20B-A4B-Preview-HF", parameters="20B-A4B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "internvl": {
            "text_config": {"model_type": "qwen2", **TINY},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
            },
            "image_seq_length": 4,
        }
    },
    media_tokens={
        "image_token": "<IMG_CONTEXT>",
        "context_image_token": "<IMG_CONTEXT>",
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "video_token": "<video>",
    },
    accepts=("images", "packing"),
)
