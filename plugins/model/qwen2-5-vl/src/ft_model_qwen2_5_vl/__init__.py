"""Qwen2.5-VL (Bai et al., 2025, arXiv:2502.13923): images and videos at their own resolution.

Positions have three axes (time, height, width), which the model works out for each row; packed
rows would need them for each document, so packing is not accepted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ft.api import TINY, Checkpoint, ModelFamily, Run, Template, hookimpl

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"), stop=("<|im_end|>",)
)


class Qwen25VL(ModelFamily):
    """Loads the processor without its video part where that cannot be imported."""

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any | None:
        from transformers.utils import is_torchvision_available

        if is_torchvision_available():
            return None
        from ft_model_qwen2_5_vl.images_only import load

        run.progress.warn("torchvision is not installed: images are read, videos are not")
        return load(folder, self.processor_options)


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
            "image_token_id": 508,
            "video_token_id": 509,
            "vision_start_token_id": 510,
            "vision_end_token_id": 511,
        }
    },
    accepts=("images", "video"),
)
