"""Qwen2.5-VL (Bai et al., 2025, arXiv:2502.13923): images and videos at their own resolution.

Positions have three axes (time, height, width), which the model works out for each row; packed
rows would need them for each document, so packing is not accepted.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Capabilities, Checkpoint, ModelFamily, Run, Template, hookimpl

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Numbered(Template):
    """The format may number the images and videos of a conversation."""

    samples = ({}, {"variables": {"add_vision_id": True}})


template = Numbered(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("Qwen/Qwen2.5-VL-7B-Instruct",),
)


class Qwen25VL(ModelFamily):
    """Loads the processor without its video part where that cannot be imported.

    Videos are accepted where it can.
    """

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(accepts=["video"]) if find_spec("torchvision") else said

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any | None:
        from transformers.utils import is_torchvision_available

        if is_torchvision_available():
            return None
        from ft_model_qwen2_5_vl.images_only import load

        run.progress.warn("torchvision is not installed: images are read, videos are not")
        return load(folder, self.processor_options)

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers
        from transformers.utils import is_torchvision_available

        for name, token in self.media_tokens.items():
            setattr(config, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        vision = config.vision_config
        sizes = {
            "patch_size": vision.patch_size,
            "merge_size": vision.spatial_merge_size,
            "size": {"shortest_edge": 16 * 16, "longest_edge": 64 * 64},
        }
        images = transformers.Qwen2VLImageProcessorPil(**sizes)
        if is_torchvision_available():
            return transformers.Qwen2_5_VLProcessor(
                image_processor=images,
                tokenizer=tokenizer,
                video_processor=transformers.Qwen2VLVideoProcessor(**sizes),
                chat_template=tokenizer.chat_template,
            )
        from ft_model_qwen2_5_vl.images_only import Qwen2_5_VLProcessor

        return Qwen2_5_VLProcessor(images, tokenizer, chat_template=tokenizer.chat_template)


family = Qwen25VL(
    title="Qwen2.5-VL",
    vendor="Alibaba",
    model_types=("qwen2_5_vl",),
    templates="qwen2-5-vl",
    checkpoints=(
        Checkpoint("Qwen/Qwen2.5-VL-3B-Instruct", parameters="3B"),
        Checkpoint("Qwen/Qwen2.5-VL-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2.5-VL-32B-Instruct", parameters="32B"),
        Checkpoint("Qwen/Qwen2.5-VL-72B-Instruct", parameters="72B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.visual",
        "projector": "model.visual.merger",
        "language": "model.language_model",
    },
    tiny={
        "qwen2_5_vl": {
            "text_config": {
                **TINY,
                "bos_token_id": 0,
                "eos_token_id": 0,
                "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
            },
            "vision_config": {
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "patch_size": 8,
                "window_size": 32,
                "out_hidden_size": TINY["hidden_size"],
                "fullatt_block_indexes": [1],
            },
        }
    },
    media_tokens={
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    },
    accepts=("images",),
)
