"""MiniCPM-V 4.6 (OpenBMB, 2026): Qwen3.5 with a tower that merges patches twice.

Large images are cut into slices (Yao et al., 2024, arXiv:2408.01800), which follow the whole. The
chat format is that of Qwen3.5 with other placeholders. Earlier releases have code of their own,
which transformers does not have. Rows are not packed: the linear layers keep a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Checkpoint, VideoFamily
from ft_model_qwen3_5 import Qwen35Template
from ft_model_qwen3_5 import family as qwen3_5

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class MiniCPMV(Qwen35Template):
    """The format of a model that thinks when ``enable_thinking: true`` asks for it."""

    # in the Jinja text, which reads the line break
    medium, between = "<|{}_pad|>", r"\n"
    samples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"variables": {"enable_thinking": False}},
        {"variables": {"enable_thinking": True}},
    )


class Thinking(MiniCPMV):
    """The format of a model that thinks unless ``enable_thinking: false`` switches it off."""

    samples = ({}, *MiniCPMV.samples)


template = MiniCPMV("3.5", False, "openbmb/MiniCPM-V-4.6")
thinking = Thinking("3.5", True, "openbmb/MiniCPM-V-4.6-Thinking")


class MiniCPMV46(VideoFamily):
    """Patches of all images follow one another, and their sizes say where each ends."""

    processor = "MiniCPMV4_6Processor"
    image_processor = "MiniCPMV4_6ImageProcessorPil"
    video_processor = "MiniCPMV4_6VideoProcessor"

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        return {"patch_size": config.vision_config.patch_size, "scale_resolution": 32}


family = MiniCPMV46(
    title="MiniCPM-V 4.6",
    vendor="OpenBMB",
    model_types=("minicpmv4_6",),
    templates=("minicpm-v", "minicpm-v-thinking"),
    checkpoints=(
        Checkpoint("openbmb/MiniCPM-V-4.6"),
        Checkpoint("openbmb/MiniCPM-V-4.6-Thinking"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.merger",
        "language": "model.language_model",
    },
    tiny={
        "minicpmv4_6": {
            "text_config": {"model_type": "qwen3_5_text", **qwen3_5.tiny["qwen3_5"]["text_config"]},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 64,
                "patch_size": 8,
            },
            "insert_layer_id": 0,
        }
    },
    media_tokens={
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "image_start_token": "<image>",
        "image_end_token": "</image>",
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    },
    joined_media={"pixel_values": -1, "pixel_values_videos": -1},
    accepts=("images",),
)
